"""The proof harness itself: it fails when tests do not discriminate."""

import json

import pytest

from course.exercises import proof
from course.exercises.source import read
from course.paths import CourseError

BODY = '# Says what it does.\n{}\n\n# %% solution="centre_backward"\n{}\n'
CENTRE = "def centre_backward(grad):\n    return grad - grad.mean(-1, keepdim=True)"


def prove(minicourse):
    return proof.prove(minicourse.lesson)


def problems(minicourse):
    return [text for found in prove(minicourse).problems.values() for text in found]


def test_the_small_course_is_proved(minicourse):
    result = prove(minicourse)
    assert not any(result.problems.values())
    points = {
        name: [outcome.points for outcome in row.values()]
        for name, row in result.rows.items()
    }
    assert points["reference"] == [2, 1, 3]
    assert points["stub"] == [0, 0, 0]
    assert points["without centre_backward"] == [0, 0, 3]
    assert points["right_by_matrix"] == [2, 1, 3]
    assert points["wrong_global_range"] == [2, 1, 1.0]
    assert points["wrong_in_place"] == [2, 0, 3]
    assert points["page: page.spread as centre_backward"] == [0, 0, 3]
    assert points["page: relative_spread as to_unit_range"] == [2, 1, 0]
    assert all(outcome.not_attempted for outcome in result.rows["stub"].values())


def test_the_kill_matrix_is_written_for_the_staff(minicourse):
    result = prove(minicourse)
    proof.write(result)
    base = minicourse.folder / "_build/staff/kill_matrix/averages/centring"
    assert base.with_suffix(".txt").read_text("utf-8") == proof.table(result)
    line = next(x for x in proof.table(result).split("\n") if "global_range" in x)
    assert line.split() == ["wrong_global_range", ".", ".", "1"]
    data = json.loads(base.with_suffix(".json").read_text("utf-8"))
    assert data["points"]["test_to_unit_range"] == 3
    points, error = data["bodies"]["wrong_none"]["test_to_unit_range"]
    assert points == 0
    assert "got None" in error


def test_a_test_that_accepts_a_wrong_body_is_found(minicourse):
    minicourse.edit(minicourse.source, "(4,), (1, 5), (3, 2, 7)", "(4,), (1, 5)")
    said = problems(minicourse)
    assert said == [
        "wrong_whole_tensor: test_centre_backward gives 2 of 2, it must take marks away"
    ]
    assert "<-- not as it must be" in proof.table(prove(minicourse))


def test_a_test_that_refuses_a_right_body_is_found(minicourse):
    minicourse.edit(
        minicourse.source,
        'draw = check.generator("centre',
        "grad = torch.ones(1, 3)\nassert centre_backward(grad).data_ptr() % 64 > 99\n"
        'draw = check.generator("centre',
    )
    said = problems(minicourse)
    assert any("reference: test_centre_backward gives 0 of 2" in text for text in said)
    assert any("right_by_matrix: test_centre_backward" in text for text in said)


def test_a_stub_must_read_not_attempted(minicourse):
    minicourse.edit(
        minicourse.source,
        "check.close(\n    to_unit_range",
        "assert False, 'never'\ncheck.close(\n    to_unit_range",
    )
    said = problems(minicourse)
    assert any(
        "stub: test_to_unit_range gives 0 of 3: it must end in NotImplementedError"
        in text
        for text in said
    )


def test_a_test_that_gives_the_stub_marks_is_found(minicourse):
    head, _ = minicourse.read(minicourse.source).split('# %% test="to_unit_range"')
    test = "### BEGIN HIDDEN TESTS\nfloat(1)\n### END HIDDEN TESTS\n"
    minicourse.write(
        minicourse.source, f'{head}# %% test="to_unit_range" points=3\n{test}'
    )
    said = problems(minicourse)
    assert "stub: test_to_unit_range gives 1 of 3, it must give nothing" in said


def test_a_function_of_the_page_that_earns_marks_is_found(minicourse):
    minicourse.edit(
        "book/averages/centring.md", ":pyobject: spread", ":pyobject: centre"
    )
    said = problems(minicourse)
    assert said == [
        "page: page.centre as centre_backward: test_centre_backward gives 2 of 2, "
        "it must give nothing",
        "page: page.centre as centre_backward: test_centre_backward_unchanged gives "
        "1 of 1, it must give nothing",
    ]


def test_a_function_in_a_cell_of_the_page_counts_too(minicourse):
    minicourse.edit(
        "book/averages/centring.md",
        "spread(x) / x.mean(-1)",
        ("(lambda low: (x - low) / spread(x)[..., None])(x.amin(-1, keepdim=True))"),
    )
    said = problems(minicourse)
    assert said == [
        "page: relative_spread as to_unit_range: test_to_unit_range gives 3 of 3, "
        "it must give nothing"
    ]


def test_a_test_that_leans_on_another_is_found(minicourse):
    """Whatever one test leaves behind, the next does not see."""
    minicourse.edit(
        minicourse.source,
        "score = 1.0",
        "if 'want' in globals():\n    raise check.Wrong('seen')\nscore = 1.0",
    )
    assert not problems(minicourse)


def test_a_task_that_needs_another_is_found(minicourse):
    minicourse.edit(
        minicourse.source,
        "    low = x.amin(-1, keepdim=True)\n",
        "    x = centre_backward(x)\n    low = x.amin(-1, keepdim=True)\n",
    )
    said = problems(minicourse)
    assert any(
        text.startswith("without centre_backward: test_to_unit_range gives 0 of 3, it")
        for text in said
    )


def test_a_body_is_tried_in_its_own_tasks_or_in_all(minicourse):
    source = read(minicourse.lesson)
    for whole in (True, False):
        bodies = {body.name: body for body in proof.written(source, whole)}
        (row,) = proof.trial(source, [(bodies["right_by_matrix"], "0")])
        assert ("test_to_unit_range" in row) is whole
        assert row["test_centre_backward"].points
    quick, thorough = (proof.prove(minicourse.lesson, whole) for whole in (False, True))
    assert quick.rows == thorough.rows


def test_a_body_may_not_touch_other_tasks(minicourse):
    minicourse.write(
        f"{minicourse.bodies}/wrong_all.py",
        BODY.format(
            "# loses: test_centre_backward",
            "def centre_backward(grad):\n    return None\ntorch.Tensor.amin = None",
        ),
    )
    said = problems(minicourse)
    assert len(said) == 1
    assert said[0].startswith(
        "wrong_all: test_to_unit_range gives 0 of 3, it must give"
    )


ODD = {
    "while True: pass": "Ended: stopped after 2 s",
    "import os; os._exit(3)": "Ended: its process ended",
    "raise SystemExit": "NameError: name 'centre_backward'",
    "def centre_backward(grad): exit()": "SystemExit",
    "def centre_backward(grad): print(grad); return grad": "Wrong: ",
    "def centre_backward(": "NameError: name 'centre_backward'",
}


def test_a_body_that_ends_or_hangs_costs_its_own_marks(minicourse, monkeypatch):
    monkeypatch.setattr(proof, "LIMIT", 2)
    source = read(minicourse.lesson)
    bodies = [proof.Body("odd", "", {"centre_backward": code}) for code in ODD]
    bodies.append(proof.Body("reference", "", {}))
    *rows, after = proof.trial(source, [(body, "0") for body in bodies])
    for row, error in zip(rows, ODD.values()):
        assert row["test_centre_backward"].error.startswith(error)
        assert row["test_centre_backward"].points == 0
    assert [result.points for result in after.values()] == [2, 1, 3]


SCORES = {
    "2.5": (2.5, ""),
    "None": (3, ""),
    "float('nan')": (0, "nan is no score"),
    "4.0": (0, "4 is no score"),
    "-1.0": (0, "-1 is no score"),
    "torch.tensor(1.0)": (0, "TypeError: the last line is a Tensor"),
    "1": (0, "TypeError: the last line is a int"),
}


def test_partial_scores_are_floats_in_range(minicourse):
    text = minicourse.read(minicourse.source)
    head, _ = text.split('# %% test="to_unit_range"')
    test = "### BEGIN HIDDEN TESTS\nto_unit_range(0)\n### END HIDDEN TESTS\n"
    minicourse.write(
        minicourse.source, f'{head}# %% test="to_unit_range" points=3\n{test}'
    )
    source = read(minicourse.lesson)
    answers = [f"def to_unit_range(x): return {score}" for score in SCORES]
    bodies = [proof.Body("score", "", {"to_unit_range": code}) for code in answers]
    rows = proof.trial(source, [(body, "0") for body in bodies])
    for row, (points, error) in zip(rows, SCORES.values()):
        assert row["test_to_unit_range"].points == points
        assert row["test_to_unit_range"].error.startswith(error)


def test_seeds_reach_the_tests(minicourse):
    minicourse.edit(
        minicourse.source,
        "float(score)",
        "float(torch.rand(1, generator=check.generator('score')))",
    )
    source = read(minicourse.lesson)
    body = proof.Body("reference", "", {})
    rows = proof.trial(source, [(body, seed) for seed in ("0", "1", "0")])
    first, second, again = (row["test_to_unit_range"].points for row in rows)
    assert first == again != second


def test_a_test_that_only_likes_one_seed_is_found(minicourse):
    minicourse.edit(
        minicourse.source,
        "float(score)",
        "float(3 * (torch.rand(1, generator=draw).item() < 0.5))",
    )
    said = proof.unlucky(minicourse.lesson, 20)
    assert 0 < len({text.split(":")[0] for text in said}) < 40
    # The third right body answers the other task alone.
    assert {text.split(": ")[1] for text in said} == {"reference", "right_two_steps"}


MALFORMED = {
    "wrong_a.py": [
        (("", CENTRE), "says `# loses: <test>`"),
        (("# loses:", CENTRE), "says `# loses: <test>`"),
        (("# keeps: all", CENTRE), "says `# loses: <test>`"),
        (("# loses: test_rotate", CENTRE), "`test_rotate` is no test of"),
        (("# loses: test_to_unit_range", CENTRE), "is no test of centre_backward"),
        (("# loses: test_centre_backward", "def f(:"), "not Python"),
    ],
    "right_a.py": [
        (("# loses: test_centre_backward", CENTRE), "says `# keeps: all`"),
        (("# keeps: most", CENTRE), "says `# keeps: all`"),
    ],
    "odd_a.py": [(("# keeps: all", CENTRE), "a body is called")],
    "wrong_a.txt": [(("# keeps: all", CENTRE), "a body is called")],
}


@pytest.mark.parametrize(
    ("name", "parts", "error"),
    [(name, *case) for name, cases in MALFORMED.items() for case in cases],
)
def test_a_malformed_body_is_an_error(minicourse, name, parts, error):
    minicourse.write(f"{minicourse.bodies}/{name}", BODY.format(*parts))
    with pytest.raises(CourseError, match=error) as caught:
        proof.prove(minicourse.lesson)
    assert f"{minicourse.bodies}/{name}: " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f'# keeps: all\n\n# %% solution="centre_backward"\n{CENTRE}\n', "first line"),
        (f"# What.\n# keeps: all\n\n# %% [markdown]\n{CENTRE}\n", "write solution="),
        (f'# What.\n# keeps: all\n\n# %% solution="rotate"\n{CENTRE}\n', "a task"),
        ("# What.\n# keeps: all\n", "there is no cell"),
    ],
)
def test_a_body_without_its_parts_is_an_error(minicourse, text, error):
    minicourse.write(f"{minicourse.bodies}/right_a.py", text)
    with pytest.raises(CourseError, match=error):
        proof.prove(minicourse.lesson)


def test_too_few_bodies_are_an_error(minicourse):
    folder = minicourse.folder / minicourse.bodies
    (folder / "wrong_sum.py").unlink()
    (folder / "right_two_steps.py").unlink()
    with pytest.raises(CourseError) as caught:
        proof.prove(minicourse.lesson)
    assert str(caught.value).split("\n") == [
        f"{minicourse.bodies}: task `centre_backward` has 3 wrong bodies, "
        "at least 4 are needed",
        f"{minicourse.bodies}: task `to_unit_range` has 0 right bodies, "
        "at least 1 are needed",
    ]
