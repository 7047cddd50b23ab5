"""`lib.images`: digits shuffled once, glyphs that a seed repeats."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lib import images
from tests.draws import seeded


def test_digits_are_scikit_learns_in_another_order():
    pictures, labels = images.digits()
    assert pictures.shape == (1797, 1, 8, 8)
    assert (pictures.min(), pictures.max()) == (0, 1)
    data = load_digits()
    rows = np.concatenate([data.data / 16, data.target[:, None]], 1)
    got = np.concatenate([pictures.flatten(1), labels[:, None]], 1)
    assert sorted(map(tuple, got)) == sorted(map(tuple, rows.astype("float32")))
    assert not np.array_equal(labels, data.target)


def test_the_order_of_digits_never_changes():
    assert torch.equal(images.digits()[0], images.digits()[0])


def test_a_seed_repeats_glyphs():
    first, labels = images.glyphs(7, 20, seeded())
    again, same = images.glyphs(7, 20, seeded())
    assert torch.equal(first, again)
    assert torch.equal(labels, same)
    assert not torch.equal(first, images.glyphs(7, 20, seeded(1))[0])


def test_glyphs_are_inside_their_image():
    """Whatever the turn, the scale and the shift, little ink lies on the border."""
    pictures, _ = images.glyphs(500, 28, seeded(), "0123456789")
    assert pictures.shape == (500, 1, 28, 28)
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    inner = pictures[..., 1:-1, 1:-1].sum()
    assert inner / pictures.sum() > 0.99


def test_a_label_names_its_character():
    """One character alone: all images alike in ink, unlike those of another."""
    thin, labels = images.glyphs(50, 28, seeded(), "1")
    assert labels.eq(0).all()
    both, labels = images.glyphs(400, 28, seeded(), "1.")
    ink = both.mean((1, 2, 3))
    assert ink[labels == 1].mean() < ink[labels == 0].mean() / 3
    torch.testing.assert_close(
        ink[labels == 0].mean(), thin.mean(), atol=0.01, rtol=0.1
    )


def test_glyphs_are_turned_scaled_and_moved():
    pictures, _ = images.glyphs(300, 28, seeded(), "8")
    weight = pictures.sum((1, 2, 3))
    place = torch.arange(28.0)
    right = (pictures.sum((1, 2)) * place).sum(1) / weight
    assert right.std() > 1
    assert weight.std() / weight.mean() > 0.1


def test_glyphs_turn_both_ways_by_up_to_fifteen_degrees():
    """The angle of a dash, from the second moments of its ink."""
    pictures, _ = images.glyphs(300, 40, seeded(), "-")
    ink = pictures[:, 0] / pictures[:, 0].sum((1, 2), keepdim=True)
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    x = x - (ink * x).sum((1, 2), keepdim=True)
    y = y - (ink * y).sum((1, 2), keepdim=True)
    xx, yy, xy = ((ink * product).sum((1, 2)) for product in (x * x, y * y, x * y))
    degrees = torch.rad2deg(torch.atan2(2 * xy, xx - yy) / 2)
    assert degrees.min() == pytest.approx(-15, abs=1)
    assert degrees.max() == pytest.approx(15, abs=1)


def test_the_middle_of_a_stroke_is_white():
    pictures, _ = images.glyphs(50, 28, seeded(), "8")
    assert pictures.max().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("n", "size", "characters", "message"),
    [
        (0, 8, "1", "n and size must be at least 1, got 0 and 8"),
        (1, 0, "1", "n and size must be at least 1, got 1 and 0"),
        (1, 8, "", "characters must name at least one"),
    ],
)
def test_impossible_glyphs_are_refused(n, size, characters, message):
    with pytest.raises(ValueError, match=message):
        images.glyphs(n, size, seeded(), characters)
