"""`course grade`: judge what was handed in, in parallel, and record it.

Trusts the folders of the course; of `grading/submitted` only that its folders are
learners. Verdicts go to the store one by one, and each submission into the gradebook
as soon as all its notebooks are judged: a run that is killed goes on where it was.
"""

from collections.abc import Iterator
from pathlib import Path

import click
from tqdm import tqdm

from course.grading import jobs, pool, submission, verdicts, work
from course.grading.jobs import Exercise
from course.grading.lock import Lock
from course.grading.report import EVERY, Page, Report, show
from course.grading.shown import visible
from course.paths import CourseError, lessons, root

LONGEST_ID = 128  # of a student in nbgrader's database
MOST_NAMED = 5  # files


@click.command("grade")
@click.argument("part")
@click.option("--student", "students", multiple=True, help="Only this one; repeatable.")
@click.option(
    "--jobs",
    "workers",
    type=click.IntRange(1),
    default=pool.cores(),
    show_default="the number of cores",
    help="How many notebooks are judged at a time.",
)
@click.option(
    "--scheduler",
    metavar="ADDR",
    help="Judge on the workers of this Dask scheduler (`course worker`), not here.",
)
@click.option(
    "--allow-weak",
    is_flag=True,
    help="Grade where learners' code cannot be isolated; every verdict says so.",
)
def grade_command(part, students, workers, scheduler, allow_weak):
    """Judge and record what learners handed in for PART."""
    if scheduler:
        from course.grading import remote

        level = "weak" if allow_weak else pool.LEAST
        opened = remote.Cluster(scheduler, level)
    else:
        level = pool.level(allow_weak)
        opened = pool.Judges(workers)
    if level != pool.LEAST:
        click.secho(f"sandbox level: {level}; isolation is weak", fg="red", err=True)
    with opened as judges:
        report = run(part, list(students), judges, level)
    show(report, Page.path_of(part))
    if report.failures:
        raise SystemExit(1)


def run(part: str, students: list[str], judges: pool.Judges, level: str) -> Report:
    """Grade a part.

    Raises:
        CourseError: nothing could be graded; the text says what to do.
    """
    # nbgrader takes seconds to import, which `course grade --help` does without.
    from course.grading import writer

    jobs.forget()
    exercises = jobs.part(part)
    _current(exercises)
    lock = Lock()
    lock.acquire()
    try:
        with writer.Writer() as gradebook:
            gradebook.check(exercises)
            folders = _folders(gradebook, part, students)
            batch = _Batch(exercises, folders, judges, level, gradebook)
            batch.report.settled = gradebook.enter(part)
            return batch.run()
    finally:
        lock.release()


def _current(exercises: list[Exercise]) -> None:
    """See that the notebooks are made of the sources as they stand.

    Raises:
        CourseError: they are not.
    """
    from course.exercises.assign import dumps, notebook
    from course.exercises.source import read

    written = {each.lesson for each in exercises}
    for lesson in lessons(exercises[0].part):
        path = root() / jobs.SOURCES / f"{lesson}.ipynb"
        if lesson not in written or dumps(notebook(read(lesson))) != path.read_text(
            "utf-8"
        ):
            raise CourseError(
                f"{lesson} was changed since it was assigned: run `course assign`, "
                f"then `nbgrader generate_assignment {exercises[0].part}`"
            )


def _folders(gradebook, part: str, students: list[str]) -> dict[str, Path]:
    """The folder of each submission, by student."""
    base = root() / gradebook.config.CourseDirectory.submitted_directory
    found = {
        path.name: path / part
        for path in sorted(base.glob("*"))
        if not path.name.startswith(".") and (path / part).is_dir()
    }
    unknown = [student for student in students if student not in found]
    if unknown:
        raise CourseError(
            f"nothing of {', '.join(map(repr, unknown))} in {base}/<student>/{part}"
        )
    if not found:
        raise CourseError(f"nothing was handed in: {base}/<student>/{part} is empty")
    return {s: found[s] for s in found if not students or s in students}


class _Batch:
    """A run over some submissions."""

    def __init__(self, exercises, folders, judges, level, gradebook):
        self.exercises = {each.lesson: each for each in exercises}
        self.folders = folders
        self.judges = judges
        self.level = level
        self.gradebook = gradebook
        self.part = exercises[0].part
        self.limits = {}
        self.report = Report(submissions=len(folders))
        self.page = Page(self.part, self.report, judges.by(level))
        # Of each submission, the lessons that are not judged yet.
        self.waiting: dict[str, set[str]] = {}
        # What the gradebook said before it was voided, by student.
        self.before: dict[str, dict] = {}

    def run(self) -> Report:
        with self.page:
            self._run()
        return self.report

    def _run(self):
        found = self._files()
        todo = []
        steps = tqdm(self.exercises.values(), desc="limits", delay=2, leave=False)
        self.limits = {
            each.lesson: work.limits(each, self.judges, self.level) for each in steps
        }
        with tqdm(total=len(found), desc="grading", unit="submission") as bar:
            for student, files in found.items():
                more, readings = self._plan(student, files)
                todo += more
                if not more:
                    self._record(student, files, readings)
                    bar.update()
                self.page.write(patience=EVERY)
            # Longest first, so that no worker is left with a long one at the end.
            todo.sort(key=lambda each: each[0], reverse=True)
            self.page.expect(sum(seconds for seconds, *_ in todo))
            again = []
            for alone, queue in ((False, todo), (True, again)):
                for student, lesson, reading in self._judge(queue, found, alone, again):
                    self.waiting[student].discard(lesson)
                    if not self.waiting[student]:
                        self._record(student, found[student], {lesson: reading})
                        bar.update()
                    self.page.write(patience=EVERY)

    def _files(self):
        """The files of each submission, by lesson; a folder without any is named."""
        found = {}
        for student, folder in self.folders.items():
            notebooks = sorted(folder.glob("*.ipynb"))
            others = {path.name for path in folder.iterdir()} - {"timestamp.txt"}
            others -= {path.name for path in notebooks}
            if others:
                listed = ", ".join(map(visible, sorted(others)[:MOST_NAMED]))
                more = ", …" if len(others) > MOST_NAMED else ""
                self.report.look.append(
                    f"{student}: handed in beside notebooks, not used: {listed}{more}"
                )
            if len(student) > LONGEST_ID:
                self.report.failures.append(
                    f"{student[:40]}…: the name is longer than {LONGEST_ID} characters:"
                    " `course collect` gives it a shorter one"
                )
            elif notebooks:
                chosen = submission.choose(list(self.exercises.values()), notebooks)
                found[student] = chosen
                self.waiting[student] = set()
            else:
                self.report.look.append(f"{student}: no notebook was handed in")
        return found

    def _plan(self, student, files):
        """(time, student, lesson) of what is to be judged, and what was read. What the
        gradebook says of such a submission is voided, so that nobody takes it for
        current."""
        todo, readings = [], {}
        for lesson, path in files.items():
            exercise = self.exercises[lesson]
            reading = readings[lesson] = submission.read(exercise, path)
            if not reading.judgeable:
                work.settle(exercise, student, reading, {}, self.level, self.judges)
                continue
            item = self._work(student, lesson, reading)
            if item.todo:
                seconds = item.old["run"].get("seconds") if item.old else None
                known = isinstance(seconds, int | float)
                guess = seconds if known else sum(self.limits[lesson].values())
                todo.append((guess, student, lesson))
                self.waiting[student].add(lesson)
            else:
                self.report.cached += 1
                # Its notes and versions may be others than when it was judged.
                verdict = item.verdict(None)
                if verdict["verdict"] != item.old["verdict"]:
                    work.store().save(student, lesson, verdict)
        if todo:
            self.before[student] = self.gradebook.void(self.part, student)
        return todo, readings

    def _work(self, student, lesson, reading) -> work.Work:
        return work.prepare(
            self.exercises[lesson], student, reading, self.limits[lesson], self.level
        )

    def _judge(self, queue, found, alone, again) -> Iterator[tuple]:
        """Judge and keep what is in the queue; (student, lesson, reading) of what is
        settled. What has to be run again alone is put into `again`."""
        items = {}

        def requests():
            for seconds, student, lesson in queue:
                reading = submission.read(
                    self.exercises[lesson], found[student][lesson]
                )
                if not reading.judgeable:  # it was exchanged meanwhile
                    continue
                item = self._work(student, lesson, reading)
                items[student, lesson] = item, seconds
                yield (student, lesson), item.request()

        for (student, lesson), reply in self.judges.all(requests(), alone):
            item, seconds = items.pop((student, lesson))
            self.page.spend(seconds)
            verdict = item.verdict(reply, alone)
            work.store().save(student, lesson, verdict)
            if not alone and set(verdict["run"]["settled"]) != set(item.keys):
                again.append((0, student, lesson))
                continue
            self.report.judged += 1
            yield student, lesson, item.reading

    def _record(self, student, files, readings):
        """Put a submission into the gradebook and its notebooks beside it; those that
        were read long ago are read again, so that few are in memory."""
        try:
            self._record_all(student, files, readings)
        except Exception as error:  # the other submissions are graded all the same
            self.report.failures.append(f"{student}: {type(error).__name__}: {error}")

    def _record_all(self, student, files, readings):
        from course.grading import writer

        graded, nodes = {}, {}
        for lesson, path in files.items():
            exercise = self.exercises[lesson]
            reading = readings.get(lesson) or submission.read(exercise, path)
            verdict = work.store().load(student, lesson)
            listed = jobs.cells(exercise, reading.notebook)
            content = jobs.content(listed) if reading.judgeable else None
            if verdict is None or verdict["verdict"]["content"] != content:
                raise CourseError("was changed while it was graded: grade it again")
            graded[exercise.name] = verdict
            nodes[exercise.name] = submission.graded(
                exercise, reading.notebook, verdict
            )
            self._count(student, exercise, verdict)
        self.report.count_share(graded)
        when = writer.timestamp(self.folders[student])
        files = writer.files(nodes, when)
        folder = root() / self.gradebook.config.CourseDirectory.autograded_directory
        folder = folder / student / self.part
        if writer.same(folder, files) and self.gradebook.is_current(
            self.part, student, graded, when
        ):
            self.report.unchanged += 1
            return
        writer.place(folder, files)
        pairs = {name: (writer.node(nodes[name]), graded[name]) for name in nodes}
        before = self.before.pop(student, {})
        self.gradebook.record(self.part, student, pairs, when, before)
        self.report.recorded += 1

    def _count(self, student, exercise, verdict):
        self.report.look += [
            f"{student} · {exercise.lesson}: {note['text']}"
            for note in verdict["verdict"]["notes"]
            if verdicts.is_flag(note)
        ]
        self.report.count(exercise.lesson, verdict)
        for task, status in verdicts.statuses(verdict).items():
            outcome = verdict["verdict"]["exercises"][task]
            line = f"{student} · {exercise.lesson} · {task}: {outcome['message']}"
            if status == "grader error":
                self.report.failures.append(line)
            elif status == "not gradable":
                self.report.look.append(
                    f"{student} · {exercise.lesson}: {outcome['message']}"
                )
                break
