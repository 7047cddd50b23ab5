"""What the institution says, in the gradebook: names, due dates, extensions, penalties.

Trusts the roster and `dates.toml`, which the instructor gives. Runs within the writer's
transaction, or as a step of nbgrader's; nbgrader's own rows hold all of it, so that
formgrader shows the lateness that costs points here.
"""

import datetime
import math

from nbgrader.api import Gradebook, Student, SubmittedAssignment, SubmittedNotebook
from nbgrader.preprocessors import AssignLatePenalties, latesubmissions
from sqlalchemy.orm import selectinload
from traitlets.config import Config

from course.grading import dates, roster
from course.grading.dates import Dates, Part


class LatePenalties(AssignLatePenalties):
    """What lateness costs, by `grading/dates.toml`; without that file, by the gradebook
    and `plugin_class`, as ever."""

    def preprocess(self, nb, resources):
        """Leave the notebook as it is."""
        given = dates.load()
        if given is None:
            return super().preprocess(nb, resources)
        names = resources["nbgrader"]
        # Looked up there: the writer puts its open transaction in its place.
        with latesubmissions.Gradebook(names["db_url"]) as gradebook:
            submission = gradebook.find_submission(
                names["assignment"], names["student"]
            )
            _settle(gradebook, submission, given.part(names["assignment"]))
            gradebook.db.commit()
        return nb, resources


def enrol(gradebook: Gradebook) -> None:
    """Enter all learners of the roster, by their names."""
    known = roster.load()
    here = {each.id: each for each in gradebook.db.query(Student)}
    for learner in known or ():
        if learner.id not in here:
            here[learner.id] = Student(id=learner.id)
            gradebook.db.add(here[learner.id])
        for key in ("first_name", "last_name", "email"):
            said = getattr(learner, key)
            if said and said != getattr(here[learner.id], key):
                setattr(here[learner.id], key, said)


def settle(gradebook: Gradebook, part: str) -> list[str]:
    """Enter the dates of a part, with what follows from them for everybody's marks; the
    learners whose marks that changed."""
    given = dates.load()
    if given is None:
        return []
    assignment = gradebook.find_assignment(part)
    submissions = (
        gradebook.db.query(SubmittedAssignment)
        .filter_by(assignment_id=assignment.id)
        .options(selectinload(SubmittedAssignment.notebooks))
    )
    said = given.part(part)
    changed = [each for each in submissions if _settle(gradebook, each, said)]
    return sorted(each.student_id for each in changed)


def is_settled(
    gradebook: Gradebook, submission: SubmittedAssignment, config: Config
) -> bool:
    """Whether a submission's lateness costs what it should: a due date may have been
    changed since, or an extension granted."""
    given: Dates | None = dates.load()
    if given is None:
        return _is_as_configured(gradebook, submission, config)
    part = given.part(submission.assignment.name)
    if submission.assignment.duedate != _naive(part.due):
        return False
    if submission.extension != _extension(part, submission.student_id):
        return False
    return all(
        _same(notebook.late_submission_penalty, penalty)
        for notebook, penalty in _penalties(gradebook, submission, part)
    )


def _is_as_configured(gradebook, submission, config) -> bool:
    late = submission.total_seconds_late
    if not late:
        return not submission.late_submission_penalty
    step = AssignLatePenalties(config=config)
    step.init_plugin()
    for notebook, score in _scores(gradebook, submission):
        lost = step.plugin_inst.late_submission_penalty(
            submission.student_id, score, late
        )
        if not _same(notebook.late_submission_penalty, min(max(lost or 0, 0), score)):
            return False
    return True


def _settle(gradebook, submission, part: Part) -> bool:
    """Write lateness and penalties; whether a penalty is another than before."""
    submission.assignment.duedate = _naive(part.due)
    submission.extension = _extension(part, submission.student_id)
    changed = False
    for notebook, penalty in _penalties(gradebook, submission, part):
        if not _same(notebook.late_submission_penalty, penalty):
            notebook.late_submission_penalty = penalty
            changed = True
    return changed


def _penalties(gradebook, submission, part: Part) -> list[tuple]:
    """The notebooks of a submission and what each loses: a penalty is one of the whole
    part, and shared out as the points are."""
    late = submission.total_seconds_late
    if not late:
        return [(notebook, None) for notebook in submission.notebooks]
    scores = _scores(gradebook, submission)
    total = math.fsum(score for _, score in scores)
    lost = part.penalty(submission.student_id, total, late)
    return [
        (notebook, lost * score / total if lost else None) for notebook, score in scores
    ]


def _scores(gradebook, submission) -> list[tuple[SubmittedNotebook, float]]:
    """The notebooks of a submission with their scores as they are now: what is in
    memory was counted when it was read."""
    query = gradebook.db.query(SubmittedNotebook.id, SubmittedNotebook.score)
    now = dict(query.filter_by(assignment_id=submission.id).all())
    return [(each, float(now[each.id] or 0)) for each in submission.notebooks]


def _same(one: float | None, other: float | None) -> bool:
    return math.isclose(one or 0, other or 0, abs_tol=1e-6)


def _extension(part: Part, student: str) -> datetime.timedelta | None:
    due = part.due_for(student)
    return due - part.due if part.due and due != part.due else None


def _naive(when: datetime.datetime | None) -> datetime.datetime | None:
    """As the gradebook has it: in UTC, and without saying so."""
    return when.replace(tzinfo=None) if when else None
