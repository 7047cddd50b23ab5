"""`lib.grids`: what the picture of a grid shows, and that it can be read."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon, Rectangle
from matplotlib.transforms import Bbox

from lib import figures, grids
from tests.draws import rng

SHAPE = (3, 4)
VALUES = np.array([-12.34, 0.0, 3.14159, -0.04, np.nan, *range(7)])


def drawn(values=VALUES, shape=SHAPE, *, size=(5, 4), **settings):
    axis = Figure(figsize=size).subplots()
    grids.draw(axis, values, shape, **settings)
    return axis


def texts(axis):
    """What stands in each cell, by (row, column)."""
    found = {}
    for text in axis.texts:
        x, y = text.get_position()
        found[round(y), round(x)] = text.get_text()
    return found


def arrows(axis):
    """The tip of every arrow, from the middle of its cell's arrows, and its length."""
    found = {}
    for patch in axis.patches:
        if isinstance(patch, Polygon):
            corners = patch.get_xy()[:7]
            column, row = corners.mean(0).round().astype(int)
            tip = corners[3] - (column, row + grids.ARROWS)
            tail = (corners[0] + corners[6]) / 2
            length = np.linalg.norm(corners[3] - tail)
            found.setdefault((row, column), []).append((tip, length))
    return found


def test_numbers_stand_row_by_row_from_the_top():
    axis = drawn()
    found = texts(axis)
    assert found[0, 0] == "−12.3"
    assert found[0, 2] == "3.1"
    assert found[2, 3] == "6.0"
    low, high = axis.get_ylim()
    assert low > high, "the first row is at the top"


def test_a_cell_without_a_value_is_empty():
    assert texts(drawn())[1, 0] == ""


def test_zero_has_no_sign():
    assert texts(drawn())[0, 3] == "0.0"
    assert texts(drawn(digits=2))[0, 3] == "−0.04"
    assert grids.written(-0.0, 0) == "0"


def test_blue_is_below_zero_and_vermilion_above():
    colours = drawn().images[0].get_array()
    low, zero, high, _ = colours[0]
    np.testing.assert_allclose(low[:3], to_rgb(figures.COLOURS["blue"]), atol=0.01)
    np.testing.assert_allclose(high[:3], to_rgb(figures.COLOURS["vermilion"]), atol=0.1)
    assert zero[3] < 0.01
    assert colours[1, 0, 3] < 0.01, "and nothing where there is no value"
    assert high[3] < low[3], "stronger where the magnitude is larger"


def test_colours_are_saturated_at_the_limit():
    strength = drawn(limit=3).images[0].get_array()[..., 3]
    assert strength[0, 0] == pytest.approx(strength[2, 3], abs=0.01)  # -12.34 and 6
    assert strength.max() == pytest.approx(grids.STRENGTH, abs=0.01)
    weak = drawn(limit=1_000).images[0].get_array()[..., 3]
    assert weak.max() < 0.01


@pytest.mark.parametrize("page", ["#ffffff", "#121212"])
@pytest.mark.parametrize("colour", ["blue", "vermilion"])
def test_numbers_can_be_read_on_the_strongest_colour(page, colour):
    mixed = grids.STRENGTH * np.array(to_rgb(figures.COLOURS[colour]))
    mixed += (1 - grids.STRENGTH) * np.array(to_rgb(page))

    def luminance(rgb):
        rgb = np.array(rgb)
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted([luminance(mixed), luminance(to_rgb(figures.INK))])
    assert (high + 0.05) / (low + 0.05) > 3


def test_arrows_point_up_right_down_left():
    policy = np.zeros((12, 4))
    policy[range(4), range(4)] = 1
    found = arrows(drawn(policy=policy))
    assert set(found) == {(0, 0), (0, 1), (0, 2), (0, 3)}, "none in a row of zeros"
    for column, way in enumerate([(0, -1), (1, 0), (0, 1), (-1, 0)]):
        [(tip, _)] = found[0, column]
        np.testing.assert_allclose(tip / np.abs(tip).max(), way, atol=1e-9)


def test_a_likelier_action_has_a_longer_and_thicker_arrow():
    policy = np.zeros((12, 4))
    policy[5] = [0.6, 0, 0.3, 0.1]
    axis = drawn(policy=policy)
    longest, longer, long = (length for _, length in arrows(axis)[1, 1])
    assert longest > longer > long > 0
    patches = [patch for patch in axis.patches if isinstance(patch, Polygon)]
    widths = [min(np.ptp(patch.get_xy(), axis=0)) for patch in patches]
    assert widths[0] > widths[1] > widths[2]


def test_to_stay_is_a_circle_that_no_arrow_crosses():
    policy = np.zeros((12, 5))
    policy[3, 4] = 1
    policy[7] = [0.1, 0.2, 0, 0.1, 0.6]
    axis = drawn(policy=policy)
    circles = [patch for patch in axis.patches if isinstance(patch, Circle)]
    assert [circle.center for circle in circles] == [
        (3, grids.ARROWS),
        (3, 1 + grids.ARROWS),
    ]
    assert circles[0].radius > circles[1].radius
    assert not circles[0].get_fill()
    points, radius = grids.marks(policy[7])
    assert len(points) == 3
    for corners in points:
        assert np.linalg.norm(corners, axis=1).min() > radius


@pytest.mark.parametrize("size", [(9, 7), (5, 4), (2.5, 2), (1.5, 6)])
@pytest.mark.parametrize("digits", [0, 2])
def test_numbers_keep_to_their_cells_and_off_the_arrows(size, digits):
    policy = np.concatenate([np.eye(4)] * 3)
    axis = drawn(VALUES * 10, policy=policy, size=size, digits=digits)
    axis.figure.draw_without_rendering()
    shown = [text for text in axis.texts if text.get_text()]
    assert all(0 < text.get_size() <= 10 for text in shown)
    boxes = [text.get_window_extent() for text in shown]
    for patch in axis.patches:
        if isinstance(patch, Polygon):
            for box in boxes:
                assert not box.overlaps(patch.get_window_extent())
    for box, text in zip(boxes, shown):
        column, row = np.round(text.get_position())
        cell = [(column - 0.5, row - 0.5), (column + 0.5, row + 0.5)]
        cell = Bbox(np.sort(axis.transData.transform(cell), axis=0))
        assert cell.x0 <= box.x0
        assert box.x1 <= cell.x1
        assert cell.y0 <= box.y0
        assert box.y1 <= cell.y1


def test_an_arrow_is_as_wide_above_as_below_and_its_head_is_at_its_end():
    for row in rng().dirichlet(np.ones(4), size=20):
        row = np.array([0, row[0], 0, 1 - row[0]])
        right = grids.marks(row)[0][0]
        np.testing.assert_allclose(right[::-1] * (1, -1), right, atol=1e-12)
        begin, neck, wide, tip = right[:4, 0]
        assert begin <= neck == wide < tip
        assert tip - neck < 0.12


def test_a_grid_may_be_one_row():
    assert len(texts(drawn(VALUES[:4], (1, 4)))) == 4


def test_arrows_stay_in_their_cells():
    dice = rng()
    rows = [*np.eye(5), *dice.dirichlet(np.full(5, 0.5), size=50)]
    for row in rows:
        points, radius = grids.marks(row)
        corners = np.concatenate([*points, [(0, radius)]])
        assert np.abs(corners).max() <= grids.REACH + 1e-9
    assert grids.ARROWS + grids.REACH < 0.5


def test_forbidden_cells_are_hatched_and_targets_framed_twice():
    axis = drawn(forbidden=[(0, 1), np.int64(6)], target=[(2, 3)])
    hatched = [patch.get_xy() for patch in axis.patches if patch.get_hatch()]
    assert hatched == [(0.5, -0.5), (1.5, 0.5)]
    corners = [patch.get_bbox() for patch in axis.patches if not patch.get_hatch()]
    for box in corners:
        x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        assert (x, y) == pytest.approx((round(x), round(y))), "in the middle of a cell"
        assert box.width <= 1 + 1e-9
    assert all(isinstance(patch, Rectangle) for patch in axis.patches)
    assert not any(spine.get_visible() for spine in axis.spines.values())
    plain = len(drawn().patches)
    assert len(axis.patches) == plain + 2 + 1


def test_the_picture_is_drawn_on_the_axis_it_is_given():
    before = plt.get_fignums()
    assert drawn(title="v").get_title() == "v"
    assert plt.get_fignums() == before


POLICY = np.full((12, 4), 0.25)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": (3, 0)}, r"shape must be \(rows, columns\), got \(3, 0\)"),
        ({"shape": (4, 4)}, r"values must be of shape \(16,\), got \(12,\)"),
        ({"values": VALUES.reshape(3, 4)}, r"values must be of shape \(12,\)"),
        ({"values": [np.inf] * 12}, "values must be finite or NaN"),
        ({"policy": POLICY[:5]}, r"policy must be of shape \(12, 4\) or \(12, 5\)"),
        ({"policy": POLICY[:, :3]}, "policy must be of shape"),
        ({"policy": POLICY * 2}, "policy must hold rows of chances"),
        ({"policy": POLICY - [1, -1, 0, 0]}, "policy must hold rows of chances"),
        ({"forbidden": [(3, 0)]}, r"forbidden must lie in a grid .* got \(3, 0\)"),
        ({"target": [12]}, r"target must lie in a grid of shape \(3, 4\), got 12"),
        ({"target": [-1]}, "target must lie in a grid"),
        ({"digits": -1}, "digits must be 0 or more, got -1"),
        ({"limit": 0}, "limit must be positive, got 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings, message, plain_errors):
    with pytest.raises(ValueError, match=message):
        drawn(**settings)
