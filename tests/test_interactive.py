"""`lib.interactive`: what a page gets is what was computed, and no more than it may."""

import base64
import html
import json
import re

import numpy as np
import pytest
import torch

from lib import figures, interactive
from tests.draws import rng

X = [1.0, 2.0, 3.0, 5.0]
LABELS = {"xlabel": "x", "ylabel": "y", "alt": "Two lines."}


def lines(slope, kind):
    y = slope * torch.tensor(X)
    return {"steep": y + (kind == "above"), "flat": [0.5, 0.5, 0.5, 0.5]}


CHOICES = {"slope": [1, 2_000, 0.5], "kind": ["on", "above"]}


def made(curves=lines, choices=CHOICES, **settings):
    return interactive.explore(curves, choices, **({"x": X} | LABELS | settings))


def data(explorer):
    script = r'<script type="application/json">(.*)</script>'
    return json.loads(re.search(script, explorer.html)[1])


def test_every_state_holds_the_values_of_its_choices():
    found = data(made())
    span = np.diff(found["axes"][1]["limits"])[0]
    number = 0
    for slope in CHOICES["slope"]:
        for kind in CHOICES["kind"]:
            rows = [found["rows"][row] for row in found["states"][number]]
            wanted = [np.asarray(y) for y in lines(slope, kind).values()]
            np.testing.assert_allclose(rows, wanted, rtol=0, atol=span / 1000)
            number += 1
    assert number == len(found["states"])
    assert found["x"] == X


def test_a_series_that_does_not_move_is_stored_once():
    found = data(made(choices={"slope": [1, 2, 3], "kind": ["on"]}))
    assert len({flat for _, flat in found["states"]}) == 1
    assert len(found["rows"]) == 3 + 1


def test_axes_hold_the_values_of_all_states():
    for scale in ("linear", "log"):
        (left, right), (low, high) = (
            axis["limits"] for axis in data(made(xscale=scale, yscale=scale))["axes"]
        )
        assert left < 1
        assert right > 5
        assert low < 0.5
        assert high > 10_001


def test_a_line_that_is_constant_has_an_axis():
    assert data(made(lambda slope: {"one": [3] * 4}, {"slope": [1, 2]}))["axes"][1][
        "limits"
    ] == [2.5, 3.5]


def test_values_on_a_logarithmic_axis_keep_four_digits():
    values = [1.23456e-9, 0.000765432, 12.34567, 65_432_100]
    found = data(made(lambda slope: {"a": values}, {"slope": [1]}, yscale="log"))
    assert found["rows"] == [[1.235e-9, 0.0007654, 12.35, 65_430_000]]


def test_places_to_read_at_are_not_cut_short():
    x = [1, 10, 100, 65_536]
    assert data(made(x=x, xscale="log"))["x"] == x


def test_values_on_a_linear_axis_are_as_exact_as_a_reader_can_use():
    values = [-1e3, 567.84, 0.123456, -4e-4]
    found = data(made(lambda slope: {"a": values}, {"slope": [1]}))
    assert found["rows"] == [[-1000, 568, 0.123, 0]]
    values = [1000.0123, 1000.0456, 1000.0789, 1000.1]
    found = data(made(lambda slope: {"a": values}, {"slope": [1]}))
    assert found["rows"] == [[1000.0123, 1000.0456, 1000.0789, 1000.1]]


def test_points_in_the_plane():
    def cloud(noise):
        return {"few": noise * torch.eye(2), "more": [[0, 0], [1, 2], [-0.25123, 4]]}

    found = data(made(cloud, {"noise": [1, 3]}, x=None))
    assert found["x"] is None
    few, more = (found["rows"][row] for row in found["states"][1])
    assert few == [[3, 0], [0, 3]]
    assert more == [[0, 0], [1, 2], [-0.251, 4]]


def test_the_first_state_is_the_one_asked_for():
    found = data(made(start={"slope": 0.5}))
    assert [choice["first"] for choice in found["choices"]] == [2, 0]
    assert "Shown: slope 0.5, kind on." in made(start={"slope": 0.5}).html
    assert [choice["first"] for choice in data(made())["choices"]] == [0, 0]


def test_choices_are_named_in_words():
    choices = {"head_dimension": [1, 2_000], "of": ["x"]}
    found = data(made(lambda head_dimension, of: lines(1, of), choices))["choices"]
    assert [choice["name"] for choice in found] == ["head dimension", "of"]
    assert found[0]["values"] == ["1", "2,000"]
    assert [choice["buttons"] for choice in found] == [False, True]


def test_series_differ_in_colour_and_dashes():
    found = data(made(lambda slope: dict.fromkeys("abcd", X), {"slope": [1]}))
    looks = [(series["colour"], series["dashes"]) for series in found["series"]]
    assert [colour for colour, _ in looks] == list(figures.COLOURS.values())
    assert len({dashes for _, dashes in looks}) == 4
    assert len(set(interactive.MARKERS)) == 4


def test_without_the_script_a_picture_and_a_sentence_stand_there():
    page = made(alt='A "line" <here> & there.').html
    image = re.search(
        r'<img alt="([^"]*)" src="data:image/svg\+xml;base64,(.*)">', page
    )
    assert html.unescape(image[1]) == 'A "line" <here> & there.'
    assert b"<svg" in base64.b64decode(image[2])
    assert page.index("</figcaption>") < page.index("<script")
    assert "hidden" not in page


@pytest.fixture
def picture(monkeypatch):
    """The axes of the picture that `explore` makes."""
    pictures = []

    def keep(figure):
        pictures.append(figure.axes[0])
        return b"<svg/>"

    monkeypatch.setattr(interactive, "svg", keep)
    return pictures


def test_the_picture_shows_the_points_of_every_series(picture):
    cloud = {"some": [[0, 5], [1, 2], [3, 3]], "more": [[0, 1], [2, 7]]}
    made(lambda noise: cloud, {"noise": [1]}, x=None)
    [axis] = picture
    for line, (name, points), mark in zip(
        axis.lines, cloud.items(), interactive.MARKERS, strict=False
    ):
        np.testing.assert_allclose(line.get_xydata(), points)
        assert (line.get_label(), line.get_marker()) == (name, mark)
        assert line.get_linestyle() == "None"
    assert [text.get_text() for text in axis.get_legend().texts] == list(cloud)


def test_the_picture_shows_a_line_for_every_series(picture):
    made(start={"slope": 2_000, "kind": "above"})
    [axis] = picture
    for line, (name, y) in zip(axis.lines, lines(2_000, "above").items(), strict=True):
        np.testing.assert_allclose(line.get_xydata(), np.stack([X, y], 1))
        assert (line.get_label(), line.get_marker()) == (name, "None")
    assert [text.get_text() for text in axis.get_legend().texts] == ["steep", "flat"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("x", "y")


def test_numbers_of_choices_are_written_as_a_reader_would():
    choices = {"n": [65_536_000, 2.5, 1e-07], "of": ["x", 2]}
    found = data(made(lambda n, of: lines(1, "on"), choices))["choices"]
    assert found[0]["values"] == ["65,536,000", "2.5", "1e-07"]
    assert found[1]["values"] == ["x", "2"]
    assert not found[1]["buttons"], "buttons are for texts only"


def test_a_program_that_shows_no_pages_shows_the_text_alternative():
    assert repr(made()) == "Two lines."
    assert made()._repr_html_() == made().html


def test_the_same_figure_is_the_same_text():
    assert made() == made()


def test_no_name_ends_the_script():
    explorer = made(lambda slope: {"</script><b>": X}, {"slope": [1]})
    assert explorer.html.count("</script>") == 1
    assert data(explorer)["series"][0]["name"] == "</script><b>"


def test_a_picture_leaves_no_open_figure():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    made()
    assert plt.get_fignums() == before


def always(values):
    return lambda **choice: {"a": values}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alt": " "}, "alt must say what the figure shows"),
        ({"xlabel": "$x$"}, "plain, not TeX, got '$x$'"),
        ({"choices": {"slope": ["$a$"]}, "curves": always(X)}, "plain, not TeX"),
        ({"choices": {}}, "choices must offer values"),
        ({"choices": {"slope": []}}, "choices must offer values"),
        ({"start": {"slope": 7}}, "start must be among the choices, got slope=7"),
        ({"start": {"slop": 1}}, "start must be among the choices, got slop=1"),
        ({"curves": always(X[1:])}, r"the shape of x, one axis: \(4,\), got \(3,\)"),
        ({"curves": always([X]), "x": [X]}, "the shape of x, one axis"),
        ({"curves": always(X), "x": None}, r"\(n, 2\) where there is no x, got \(4,\)"),
        ({"curves": always([1, 2, np.nan, 3])}, "y must be finite"),
        ({"x": [1, 2, 3, np.inf]}, "x must be finite"),
        ({"curves": always([1, 2, 0, 3]), "yscale": "log"}, "y must be positive"),
        ({"x": [-1, 2, 3, 4], "xscale": "log"}, "x must be positive"),
        ({"curves": lambda slope, kind: {kind: X}}, r"got \['on'\] and \['above'\]"),
        ({"curves": lambda **choice: {}}, "the same 1 to 4 series"),
        ({"curves": lambda **choice: dict.fromkeys("abcde", X)}, "1 to 4 series"),
        ({"yscale": "cubic"}, "yscale must be linear or log, got 'cubic'"),
    ],
)
def test_what_cannot_be_shown_is_refused(settings, message, plain_errors):
    message = message.replace("$", r"\$")
    with pytest.raises(ValueError, match=message):
        made(**settings)


def test_values_may_fill_the_bytes_that_a_page_has_for_them(plain_errors):
    full = "é" * ((interactive.LIMIT - 2) // 2)
    assert interactive.inline(full, "a", "b") == f'"{full}"'
    with pytest.raises(ValueError, match=r"a must fit into .* bytes, got .* for b"):
        interactive.inline(full + "e", "a", "b")


def test_a_page_does_not_grow_without_bound():
    x = np.linspace(0, 1, 2_000)
    choices = {"seed": list(range(30))}

    def noise(seed):
        return {"noise": rng(seed).normal(size=len(x))}

    with pytest.raises(ValueError, match=r"300,000 bytes, got .* for 30 states"):
        made(noise, choices, x=x)
    made(noise, {"seed": list(range(10))}, x=x)
