"""`python -m tests.margins`: shares of a tolerance, marks won or lost by luck."""

import math

import numpy as np
import pytest
import torch

from tests import margins


@pytest.mark.parametrize(
    ("got", "want", "rtol", "atol", "share"),
    [
        (1.5, 1.0, 0.0, 2.0, 0.25),
        (3.0, 2.0, 0.5, 1.0, 0.5),
        (torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]), 0.0, 2.0, 0.25),
        (torch.tensor(1.0).double(), torch.tensor(1.0).double(), 0.0, 0.0, 0.0),
        (np.array([math.inf, 1.0]), np.array([math.inf, 1.1]), 0.0, 1.0, 0.1),
        (1e-7, 0.0, None, None, 1.0),
        (3, 4, None, None, 0.0),
        (1.0, 2.0, 0.0, 0.0, math.inf),
    ],
)
def test_the_share_is_the_largest_over_all_entries(got, want, rtol, atol, share):
    assert margins.share(got, want, rtol, atol) == pytest.approx(share)


def test_every_check_of_every_draw_of_right_answers_is_seen(minicourse):
    drawn, luck = margins.measure(minicourse.lesson, 3)
    assert luck == []
    seeds = {seed for shares in drawn.values() for _, seed in shares}
    right = ("reference", "right_by_matrix", "right_two_steps")
    assert seeds == {f"{body} {time}" for body in right for time in range(3)}
    assert all(used < 1 for shares in drawn.values() for used, _ in shares)


def test_a_mark_lost_or_won_by_luck_is_told(minicourse, monkeypatch):
    verdict = margins.proof.verdict
    swapped = {"right_by_matrix": "loses", "wrong_sum": "keeps"}
    monkeypatch.setattr(
        margins.proof,
        "verdict",
        lambda source, body, row: [
            *verdict(source, body, row),
            *([swapped[body.name]] if body.name in swapped else []),
        ],
    )
    _, luck = margins.measure(minicourse.lesson, 1)
    assert luck == ["seed right_by_matrix 0: loses", "seed wrong_sum 0: keeps"]


def test_a_check_passed_narrowly_is_named_and_what_luck_did(monkeypatch):
    drawn = {"wide": [(0.1, "a 0"), (0.4, "a 1")], "narrow": [(0.2, "a 0")] * 2}
    drawn["narrow"] += [(0.93, "a 2")]
    monkeypatch.setattr(margins, "measure", lambda *_: (drawn, ["seed a 3: gone"]))
    assert margins.report("part/lesson", 2).splitlines() == [
        "part/lesson",
        "  LUCK seed a 3: gone",
        "   0.93  middle 0.20 of    3  narrow  [a 2]",
    ]


def test_without_a_name_every_lesson_is_reported(minicourse, monkeypatch, capsys):
    monkeypatch.setattr(margins, "report", lambda lesson, times: f"{lesson} {times}")
    monkeypatch.setattr("sys.argv", ["margins"])
    margins.main()
    assert capsys.readouterr().out == f"{minicourse.lesson} 10\n"


def test_a_lesson_that_does_not_exist_is_named(minicourse, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["margins", "part/none"])
    with pytest.raises(SystemExit):
        margins.main()
    said = capsys.readouterr().err
    assert f"part/none is not among {minicourse.lesson}" in said
