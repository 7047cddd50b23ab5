"""`lib.stepping`: what a page gets of a run is what was computed, frame by frame."""

import base64
import json
import re

import numpy as np
import pytest
from matplotlib.patches import Circle

from lib import grids, stepping
from lib.stepping import Frame
from tests.draws import rng

SHAPE = (2, 3)


def walk(seed, count=6):
    """Frames whose values, policies, places and paths change in many ways."""
    dice = rng(seed)
    values, path, frames = np.zeros(6), [], []
    for k in range(count):
        at = int(dice.integers(6))
        path = [at] if k % 3 == 0 else [*path, at]
        policy = dice.multinomial(20, np.full(5, 0.2), size=6) / 20
        policy[k % 6] = 0
        frames.append(Frame(values, f"Step {k} < of {seed}.", policy, at, path))
        values[at] = dice.normal()
        values[(at + 1) % 6] = np.nan
    return frames


RUNS = {"one": walk(1), "the other": walk(2, 4)}


def made(runs=RUNS, **settings):
    return stepping.stepper(runs, SHAPE, **({"alt": "A grid."} | settings))


def data(stepper):
    script = r'<script type="application/json">(.*)</script>'
    return json.loads(re.search(script, stepper.html)[1])


def unpacked(found, run):
    """What the script makes of the differences, said once more."""
    values, looks, path = [None] * 6, [0] * 6, []
    for frame in found["runs"][run]["frames"]:
        for s, value in frame.get("v", []):
            values[s] = value
        for s, look in frame.get("p", []):
            looks[s] = look
        path = path[: frame.get("k", len(path))] + frame.get("a", [])
        yield {
            "values": [np.nan if v is None else v for v in values],
            "looks": [found["looks"][look] for look in looks],
            "path": list(path),
            "at": frame.get("at"),
            "marked": frame.get("m", []),
            "says": frame["t"],
        }


def test_every_frame_of_every_run_comes_back():
    found = data(made(digits=3))
    assert [run["name"] for run in found["runs"]] == list(RUNS)
    for number, frames in enumerate(RUNS.values()):
        got = list(unpacked(found, number))
        assert len(got) == len(frames)
        for frame, shown in zip(frames, got):
            np.testing.assert_allclose(
                shown["values"], frame.values, rtol=0, atol=0.0005 + 1e-12
            )
            assert shown["at"] == frame.at
            assert shown["path"] == frame.path
            assert shown["says"] == frame.says


def test_values_are_rounded_as_they_are_shown():
    frame = Frame([-0.125001, 0.004, -0.004, 2, np.nan, 1e3 / 3], "Made.")
    [shown] = unpacked(data(made({"a": [frame]})), 0)
    assert shown["values"][:4] == [-0.13, 0, 0, 2]
    assert np.isnan(shown["values"][4])
    assert shown["values"][5] == 333.33
    assert '"v":[[0,-0.13],[1,0],[2,0],[3,2],' in made({"a": [frame]}).html


def test_only_what_changes_is_stored_again():
    values = np.arange(6.0)
    after = values.copy()
    after[4] = 0.5
    policy = np.eye(4)[[0, 1, 2, 3, 0, 0]]
    frames = [Frame(values, "a", policy, path=[1, 2]), Frame(after, "b", policy)]
    frames += [Frame(after, "c", policy, path=[1, 2])] * 2
    found = data(made({"a": frames}))["runs"][0]["frames"]
    assert found[1] == {"v": [[4, 0.5]], "m": [4], "k": 0, "t": "b"}
    assert found[2] == {"a": [1, 2], "t": "c"}
    assert found[3] == {"t": "c"}


def test_marked_is_what_changed_even_where_it_is_not_seen():
    values = np.zeros(6)
    frames = [Frame(values, "a")]
    values[3] = 1e-6
    frames += [Frame(values, "b"), Frame(values, "c", changed=[(1, 1)])]
    frames += [Frame(values + 1, "d", changed=[])]
    shown = unpacked(data(made({"a": frames})), 0)
    assert [frame["marked"] for frame in shown] == [[], [3], [4], []]


def test_a_frame_keeps_what_it_is_given():
    values, path, policy = np.zeros(6), [1], np.zeros(6, int)
    frame = Frame(values, "Before.", policy, path=path)
    values[0], policy[0] = 1, 1
    path.append(2)
    assert frame.values[0] == 0
    assert frame.policy[0] == 0
    assert frame.path == [1]


def test_actions_look_as_the_chances_that_are_one():
    actions = [0, 1, 2, 3, 4, -1]
    chances = np.concatenate([np.eye(5), np.zeros((1, 5))])
    one, other, none = (
        data(made({"a": [Frame(np.zeros(6), "a", policy)]}))
        for policy in (actions, chances, None)
    )
    assert one == other
    [shown] = unpacked(one, 0)
    assert shown["looks"][5] == ""
    assert len(set(shown["looks"])) == 6
    [shown] = unpacked(none, 0)
    assert set(shown["looks"]) == {""}


def test_arrows_are_the_ones_of_the_picture():
    policy = np.zeros((6, 4))
    policy[2, 1] = 1
    [shown] = unpacked(data(made({"a": [Frame(np.zeros(6), "a", policy)]})), 0)
    points = re.findall(r"(-?[\d.]+) (-?[\d.]+)", shown["looks"][2])
    x, y = np.array(points, float).T
    assert x.max() > 0.2
    assert x.argmax() == 3, "the tip points right"
    assert abs(y).max() < 0.1


def test_one_scale_of_colours_for_all_frames():
    largest = max(np.nanmax(abs(f.values)) for run in RUNS.values() for f in run)
    assert data(made())["limit"] == pytest.approx(largest)
    assert data(made(limit=7))["limit"] == 7
    assert data(made({"a": [Frame(np.zeros(6), "a")]}))["limit"] == 1


def test_cells_are_given_by_number_or_place():
    frames = [Frame(np.zeros(6), "a", at=(1, 0), path=[0, (1, 0)])]
    found = data(made({"a": frames}, forbidden=[(0, 2), 4], target=[(1, 2)]))
    assert (found["forbidden"], found["target"]) == ([2, 4], [5])
    [shown] = unpacked(found, 0)
    assert (shown["at"], shown["path"]) == (3, [0, 3])


def picture(stepper):
    image = re.search(r'src="data:image/svg\+xml;base64,([^"]*)"', stepper.html)
    return base64.b64decode(image[1])


def test_without_the_script_one_frame_and_its_sentence_stand_there():
    page = made().html
    assert page.startswith('<figure class="stepper">')
    assert "Shown: one, step 5 of 5. Step 5 &lt; of 1. On the course" in page
    page = made(picture=("the other", 1)).html
    assert "Shown: the other, step 1 of 3. Step 1 &lt; of 2. " in page
    assert b"<svg" in picture(made())
    assert picture(made(picture=("one", -1))) == picture(made())
    assert picture(made(picture=("one", 2))) != picture(made())


@pytest.mark.parametrize("shape", [(1, 6), (2, 3), (6, 1), (3, 20)])
def test_the_picture_has_square_cells_and_rings_the_agent(monkeypatch, shape):
    rows, columns = shape
    drawn = []
    monkeypatch.setattr(stepping.interactive, "svg", lambda f: drawn.append(f) or b"")
    frame = Frame(np.zeros(rows * columns), "a", at=rows * columns - 1, path=[0])
    stepping.stepper({"a": [frame]}, shape, alt="A grid.")
    [figure] = drawn
    width, height = figure.get_size_inches()
    assert width / columns == pytest.approx(height / rows)
    assert width == pytest.approx(min(0.8 * columns, 7)), "no wider than the page"
    [ring] = [p for p in figure.axes[0].patches if isinstance(p, Circle)]
    x, y = ring.center
    assert (x, round(y)) == (columns - 1, rows - 1)
    assert y == rows - 1 + grids.ARROWS, "where the arrows are"


def test_the_line_of_a_circle_has_its_thickness():
    """Two circles, one in the other: the rim between them is filled."""
    policy = np.zeros((6, 5))
    policy[2, 4] = 1
    [shown] = unpacked(data(made({"a": [Frame(np.zeros(6), "a", policy)]})), 0)
    outer, inner = re.findall(r"M(-[\d.]+) 0a", shown["looks"][2])
    _, radius = grids.marks(policy[2])
    assert -float(outer) > radius > -float(inner) > 0


def test_what_stays_empty_is_not_marked():
    values = np.array([np.nan, 1, 2, 3, 4, 5])
    frames = [Frame(values, "a"), Frame(values + 1, "b")]
    marked = [frame["marked"] for frame in unpacked(data(made({"a": frames})), 0)]
    assert marked == [[], [1, 2, 3, 4, 5]]


def test_the_picture_is_the_same_on_every_run():
    assert made() == made()


def test_a_program_that_shows_no_pages_shows_the_text_alternative():
    assert repr(made()) == "A grid."


def test_no_sentence_ends_the_script():
    frames = [Frame(np.zeros(6), "</script><b>")]
    assert made({"a": frames}).html.count("</script>") == 1


def test_a_run_of_hundreds_of_steps_fits():
    dice = rng()
    values, path, frames = np.zeros(48), [], []
    for k in range(400):
        s = int(dice.integers(48))
        values[s] -= dice.random()
        path = [] if k % 40 == 0 else [*path, s]
        says = f"From ({s // 12}, {s % 12}) right, reward −1: q was 0.00, is −0.45."
        policy = np.full(48, k // 10 % 4)
        frames.append(Frame(values, says, policy, s, path))
    stepping.stepper({"a": frames, "b": frames}, (4, 12), alt="Two runs.")
    runs = {str(run): frames for run in range(10)}
    with pytest.raises(ValueError, match=r"300,000 bytes, got .* for 4000 frames"):
        stepping.stepper(runs, (4, 12), alt="Ten runs.")


ZERO = np.zeros(6)


def one(says="Made.", values=ZERO, **settings):
    return {"runs": {"a": [Frame(np.zeros(6), "a"), Frame(values, says, **settings)]}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alt": ""}, "alt must say what the figure shows"),
        ({"runs": {}}, r"runs must hold frames, got \[\]"),
        ({"runs": {"a": []}}, r"runs must hold frames, got \['a'\]"),
        ({"runs": {"$a$": RUNS["one"]}}, "plain, not TeX"),
        (one("It is $q$."), "plain, not TeX"),
        (one(" "), "says of frame 1 of 'a' must be a sentence"),
        (one(values=np.zeros(5)), r"values of frame 1 of 'a' must be of shape \(6,\)"),
        (one(values=[np.inf] * 6), "values of frame 1 of 'a' must be finite"),
        (one(policy=np.ones((6, 4))), "policy of frame 1 of 'a' must hold rows"),
        (one(policy=np.ones((6, 3))), "policy of frame 1 of 'a' must be of shape"),
        (one(policy=[0, 1, 2, 3, 4, 5]), "policy of frame 1 of 'a' must hold actions"),
        (one(at=6), "at of frame 1 of 'a' must lie in a grid"),
        (one(path=[0, (2, 0)]), "path of frame 1 of 'a' must lie in a grid"),
        (one(changed=[-1]), "changed of frame 1 of 'a' must lie in a grid"),
        ({"forbidden": [6]}, "forbidden must lie in a grid"),
        ({"target": [(0, 3)]}, "target must lie in a grid"),
        ({"digits": -1}, "digits must be 0 or more"),
        ({"limit": 0.0}, "limit must be positive"),
        ({"picture": ("none", 0)}, "picture must be a run and one of its frames"),
        ({"picture": ("one", 6)}, "picture must be a run and one of its frames"),
    ],
)
def test_what_cannot_be_shown_is_refused(settings, message, plain_errors):
    message = message.replace("$", r"\$")
    with pytest.raises(ValueError, match=message):
        made(**settings)
