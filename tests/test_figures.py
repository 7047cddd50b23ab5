"""`lib.figures`: legible on both pages, and an expected error must happen."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from lib import figures

PAGES = ("#ffffff", "#121212")


def contrast(one, other):
    """The ratio of relative luminances, as WCAG 2 defines it."""

    def luminance(colour):
        c = np.array(to_rgb(colour))
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", PAGES)
def test_text_is_legible_on_both_pages(page):
    assert contrast(figures.INK, page) > 4.2


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("colour", figures.COLOURS.values())
def test_lines_stand_out_on_both_pages(colour, page):
    assert contrast(colour, page) > 3


def test_importing_applies_the_style():
    for key, value in figures.STYLE.items():
        assert plt.rcParams[key] == value


def test_the_page_shows_through_in_proportion():
    places = [0.0, 0.25, 0.5, 0.75, 1.0]
    opaque = [figures.DIVERGING(place)[3] for place in places]
    assert opaque == pytest.approx([1, 0.5, 0, 0.5, 1], abs=0.01)


def test_a_heatmap_is_symmetric_about_zero():
    figure, (free, limited) = plt.subplots(1, 2)
    table = torch.tensor([[1.0, -4.0], [0.0, 2.0]])
    assert figures.heatmap(free, table, title="t", xlabel="x").get_clim() == (-4, 4)
    assert figures.heatmap(limited, table, limit=3).get_clim() == (-3, 3)
    assert free.get_title() == "t"
    assert free.get_xlabel() == "x"
    plt.close(figure)


def test_an_expected_error_is_printed(capsys):
    with figures.expected(ValueError, KeyError):
        raise ValueError("d must be even")
    assert capsys.readouterr().out == "ValueError: d must be even\n"


def test_an_expected_error_that_does_not_come_is_an_error():
    with (
        pytest.raises(AssertionError, match="ValueError"),
        figures.expected(ValueError),
    ):
        pass


def test_another_error_passes_through():
    with pytest.raises(KeyError), figures.expected(ValueError):
        raise KeyError("other")
