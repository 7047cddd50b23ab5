"""One class that hands in the whole catalogue, graded by the judge; and what was found.

    python -m catalogue.batch FOLDER [--doors]

A program of its own, so that root and an ordinary user can run it alike. It makes a
course of its own in FOLDER, with code, gradebook and key of its own,
grades the innocent alone and then everybody, and writes FOLDER/found.json. With
`--doors` everybody is graded once more, in a second room, by plain nbgrader.
"""

import ctypes
import datetime
import json
import os
import shutil
import sqlite3
import sys
import sysconfig
import tempfile
import time
import zipfile
from pathlib import Path

from catalogue import answers, files, reach
from catalogue.row import (
    CANARY,
    FIRST,
    REFERENCE,
    RIGHT,
    SOURCES,
    TRIPLE,
    WRONG,
    Row,
)

ROWS = {row.student: row for row in answers.ROWS + reach.ROWS + files.ROWS}
A20 = [row for row in answers.LIES if row.id == "A20"]
INNOCENT = {
    "aaa-innocent": {"double": RIGHT, "triple": TRIPLE},
    "mmm-innocent": {"double": WRONG, "triple": TRIPLE},
    "zoe": {"double": RIGHT, "triple": TRIPLE},
    "zzz-innocent": {"double": RIGHT, "triple": TRIPLE},
    "zzz-untouched": {},
}
GRADEBOOK_CANARY = "canary-of-the-gradebook-7319"
ENVIRONMENT_CANARY = "canary-of-the-environment-7319"
# What `course collect` makes of strange names, and of what is in their folders.
NAMES = (
    *("Zoë Ü", "=cmd|' -C calc'!A0", "anna", "Anna", "anna ", "[ab]*?", "x" * 200),
    *("-rf", "a\u202eb", "..x", "con"),
)
PR_SET_CHILD_SUBREAPER = 36
LIMIT = 10.0


def main() -> None:
    """Grade the class."""
    base = Path(sys.argv[1])
    temporary = Path(tempfile.mkdtemp(prefix="catalogue-", dir="/tmp"))
    temporary.chmod(0o755)
    os.environ["TMPDIR"], tempfile.tempdir = str(temporary), None
    # What a learner's code leaves behind, becomes a child of this process.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.environ["CATALOGUE_CANARY"] = ENVIRONMENT_CANARY
    os.umask(0o022)
    try:
        found = grade_all(base, doors="--doors" in sys.argv[2:])
        found["left in the temporary folder"] = sorted(os.listdir(temporary))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    (base / "found.json").write_text(json.dumps(found, indent=1))


def grade_all(base: Path, doors: bool) -> dict:
    """What came of it."""
    from course.grading import grade, key, pool, sandbox, work

    place = make(base)
    limit_by_row()
    secret = key.key()
    level = pool.level(allow_weak=False)
    found = {"level": sandbox.level(), "user": os.geteuid()}
    twin = base / "twin"
    if doors:
        shutil.copytree(base / "state", twin / "state")
        shutil.copytree(place.folder, twin / "course")
    with pool.Judges(2) as judges:
        for student, texts in INNOCENT.items():
            place.submit(student, **texts)
        found["solo report"] = report_of(grade.run("arithmetic", [], judges, level))
        comment(place)
        found["solo"] = table(place)
        found["waiting alone"] = waiting()
        alone = place.files()
        shutil.rmtree(place.state / "verdicts")

        os.environ["CATALOGUE_GRADEBOOK"] = str(place.state / "gradebook.db")
        hand_in(place, ROWS.values(), places(place))
        found["collected"] = collected(base, place)
        before = watched(base, place)
        structure = database(place)
        found["report"] = report_of(grade.run("arithmetic", [], judges, level))
        found["waiting"] = waiting()
        after = watched(base, place)
        found["changed"] = differences(before, after)
        found["structure is the same"] = structure == database(place)
        found["rows"] = table(place)
        together = place.files()
        found["graded otherwise"] = [n for n in alone if alone[n] != together.get(n)]
        found["verdicts"] = {
            student: {name: work.store().load(student, f"arithmetic/{name}")["verdict"]}
            for student in sorted(os.listdir(place.state / "verdicts"))
            for name in [ROWS[student].lesson if student in ROWS else "first"]
        }
        found["leaks"] = leaks(base, place, secret)
        found["pages"] = pages(place, found["collected"]["ids"].values())
        found["A20"] = attempts(place, judges, level)
    found["left running"] = soon_gone()
    found["unpickled"] = Path("/tmp/unpickled-7319").exists()
    if doors:
        found["doors"] = by_nbgrader(place, twin)
        found["left running by nbgrader"] = soon_gone()
    return found


# The class


def make(base: Path):
    """A course with two lessons, entered; nothing is handed in."""
    import room

    from course import paths

    checkout = Path(os.environ["CATALOGUE_CHECKOUT"])
    folder, state = base / "course", base / "state"
    folder.mkdir(parents=True)
    for name in ("course", "lib"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(checkout / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "nbgrader_config.py", "requirements.lock"):
        shutil.copy(checkout / name, folder)
    (folder / "lib/arithmetic").mkdir()
    (folder / "lib/arithmetic/__init__.py").write_text('"""Small."""\n')
    (folder / "lib/arithmetic/first.py").write_text(REFERENCE)
    (folder / "solutions/arithmetic").mkdir(parents=True)
    enter(folder, state)
    for name, text in SOURCES.items():
        room.write_source(folder, name, text)
    room.generate()
    assert CANARY in FIRST
    paths.root.cache_clear()
    return room.Room(folder, state)


def enter(folder: Path, state: Path) -> None:
    """Be in a course, as a shell would."""
    from course import paths
    from course.grading import jobs

    os.chdir(folder)
    os.environ["COURSE_STATE"] = str(state)
    paths.root.cache_clear()
    jobs.forget()


def limit_by_row() -> None:
    """Give each submission the limit of its row: who loops is stopped soon."""
    from course.grading import jobs

    plain = jobs.make

    def limited(exercise, notebook, student, limits, **more):
        row = ROWS.get(student)
        if student:  # not the reference
            seconds = row.seconds if row else LIMIT
            limits = dict.fromkeys(limits, float(seconds))
        return plain(exercise, notebook, student, limits, **more)

    jobs.make = limited


def places(place) -> dict[str, str]:
    """What the words in capitals stand for."""
    submitted = place.folder / "grading/submitted"
    return {
        "GRADEBOOK": place.state / "gradebook.db",
        "KEY": place.state / "key",
        "STATE": place.state,
        "OTHERS": submitted / "zoe/arithmetic",
        "AUTOGRADED": place.folder / "grading/autograded/zoe/arithmetic",
        "SOLUTIONS": place.folder / "solutions",
        "COURSE": place.folder,
        "HOME": Path.home(),
        "JUDGE": os.getpid(),
        "SITE": sysconfig.get_path("purelib"),
        "RELEASED": place.folder / "lib/arithmetic/first.py",
    }


def hand_in(place, rows, stands: dict) -> None:
    """Everybody's submission of these rows."""

    def replaced(text):
        for word, what in stands.items():
            text = text.replace(word, str(what))
        return text

    for row in rows:
        released = place.folder / f"exercises/arithmetic/{row.lesson}.ipynb"
        path = place.folder / f"grading/submitted/{row.student}/arithmetic/{row.file}"
        text = released.read_text("utf-8")
        row.hand_in(text, path, replaced if row in reach.ROWS else str)


def collected(base: Path, place) -> dict:
    """Strange names and hostile zips, by the way of `course collect`."""
    from course.grading.collect import collect
    from course.grading.collection import submitted_as
    from course.grading.ids import safe_id

    inbox = base / "inbox"
    right = base / "right.ipynb"
    Row("N11", RIGHT).hand_in(
        (place.folder / "exercises/arithmetic/first.ipynb").read_text("utf-8"),
        right,
        str,
    )
    for name in NAMES:
        (inbox / name).mkdir(parents=True)
        shutil.copy(right, inbox / name / "first (1).ipynb")
    (inbox / "anna/linked.ipynb").symlink_to(place.state / "gradebook.db")
    os.mkfifo(inbox / "anna/pipe.ipynb")
    with zipfile.ZipFile(inbox / "bert.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../evil/first.ipynb", right.read_text())
        archive.writestr("/etc/first.ipynb", right.read_text())
        archive.writestr("bomb.ipynb", " " * 2**27)
        archive.writestr("more.zip", b"PK")
        archive.writestr("work/first.ipynb", right.read_text())
    done = collect(inbox, datetime.datetime.now(datetime.UTC))
    back = submitted_as()
    return {
        "ids": {name: safe_id(name) for name in (*NAMES, "bert")},
        "back": back,
        "missed": {missed.name: missed.why.code for missed in done.missed},
    }


def comment(place) -> None:
    """A learner's name and an instructor's comment that nobody else may read."""
    with sqlite3.connect(place.state / "gradebook.db") as db:
        db.execute(
            "update student set first_name = ? where id = 'zoe'", [GRADEBOOK_CANARY]
        )
        db.execute(
            """
            update comment set manual_comment = ? where notebook_id in (
                select submitted_notebook.id from submitted_notebook
                join submitted_assignment
                    on submitted_assignment.id = submitted_notebook.assignment_id
                where submitted_assignment.student_id = 'zoe')
            """,
            [GRADEBOOK_CANARY],
        )


# What came of it


def report_of(report) -> dict:
    """A run's report as data."""
    return {
        "submissions": report.submissions,
        "recorded": report.recorded,
        "failures": report.failures,
        "look": report.look,
    }


def table(place) -> dict:
    """The gradebook's rows as JSON has them, by student."""
    return {
        student: {"/".join(cell): list(values) for cell, values in cells.items()}
        for student, cells in place.rows().items()
    }


def database(place) -> list:
    """All of the gradebook that grading has no business to change."""
    free = ("submitted_assignment", "submitted_notebook", "grade", "comment", "student")
    with sqlite3.connect(place.state / "gradebook.db") as db:
        names = "select name from sqlite_master where type = 'table' order by name"
        tables = [name for (name,) in db.execute(names) if name not in free]
        found = [(name, sorted(db.execute(f"select * from {name}"))) for name in tables]
        # Those that were there before.
        marks = ", ".join("?" * len(INNOCENT))
        students = f"select * from student where id in ({marks}) order by id"
        return [*found, list(db.execute(students, list(INNOCENT)))]


def watched(base: Path, place) -> dict[str, list]:
    """Every file that grading may not touch, and how it is."""
    found = {}
    roots = [place.folder, base / "inbox", Path.home(), place.state]
    roots.append(Path(sysconfig.get_path("purelib")))
    for top in roots:
        stack = [top]
        while stack:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    if entry.path in found or entry.name == "__pycache__":
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                    status = entry.stat(follow_symlinks=False)
                    folder = entry.is_dir(follow_symlinks=False)
                    size = (status.st_size, status.st_mtime_ns) if not folder else ()
                    found[entry.path] = [status.st_mode, status.st_uid, *size]
    return found


def differences(before: dict, after: dict) -> list[str]:
    """What is new, gone or changed."""
    names = before.keys() | after.keys()
    return sorted(name for name in names if before.get(name) != after.get(name))


def leaks(base: Path, place, secret: bytes) -> dict[str, list[str]]:
    """The words that nobody may read, by who got them; and the way they went."""
    from course.grading import feedback

    hidden = {
        CANARY: "a hidden test",
        GRADEBOOK_CANARY: "the gradebook",
        ENVIRONMENT_CANARY: "the environment",
        secret.hex(): "the key",
        repr(secret)[2:-1]: "the key",
    }
    paths = {str(base): "a path", os.environ["CATALOGUE_CHECKOUT"]: "a path"}
    found = {}
    for student in sorted(os.listdir(place.folder / "grading/autograded")):
        feedback.write("arithmetic", student)
        submitted = place.folder / f"grading/submitted/{student}/arithmetic"
        own = "".join(
            path.read_text("utf-8", errors="replace")
            for path in submitted.glob("*.ipynb")
            if path.is_file() and path.lstat().st_size < 2**22
        )
        words = {word: what for word, what in paths.items() if word not in own}
        words |= hidden
        if student == "zoe":
            words.pop(GRADEBOOK_CANARY)
        for way, text in given_back(place, student):
            for word, what in words.items():
                if word in text:
                    found.setdefault(student, []).append(f"{what} in {way}")
    return found


def given_back(place, student: str):
    """(where, text) of all that a learner gets, or that is shown beside it."""
    from course.exercises import canonical

    for path in sorted((place.state / f"verdicts/{student}").rglob("*.json")):
        verdict = json.loads(path.read_text("utf-8"))["verdict"]
        yield "a verdict", json.dumps(verdict, ensure_ascii=False)
    pages = sorted((place.folder / f"grading/feedback/{student}").rglob("*"))
    for path in pages:
        if path.is_file():
            yield "a page of feedback", path.read_text("utf-8")
    graded = place.folder / f"grading/autograded/{student}/arithmetic"
    for path in sorted(graded.iterdir()):
        if path.suffix != ".ipynb":
            yield "a file", path.read_text("utf-8")
            continue
        node = json.loads(path.read_text("utf-8"))
        for cell in node["cells"]:
            if canonical.is_test(cell):
                cell["source"] = ""  # the instructor's, in full
        yield "a graded notebook", json.dumps(node, ensure_ascii=False)


def pages(place, students) -> dict[str, str]:
    """The pages of feedback in which something could be obeyed."""
    loud = [row.student for row in ROWS.values() if row.id in ("A10", "N16")]
    base = place.folder / "grading/feedback"
    return {
        student: (base / student / "arithmetic/first.html").read_text("utf-8")
        for student in (*loud, *students)
    }


def running() -> list[str]:
    """What came of this process and is still there."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            parents[int(path.parent.name)] = int(parent)
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    commands = []
    for pid in found[1:]:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        except FileNotFoundError:
            continue
        # Python's own, which stays until this process ends.
        if b"resource_tracker" not in command:
            commands.append(command.decode(errors="replace"))
    return commands


def soon_gone() -> list[str]:
    """What is still there when what waits for nothing has had time to end."""
    deadline = time.monotonic() + 30
    while running() and time.monotonic() < deadline:
        time.sleep(0.1)
    return running()


def waiting() -> float:
    """How many processes there are for learners' code, for each zygote that waits."""
    commands = [command for command in running() if "/zygote.py" in command]
    return len(commands) / len(set(commands))


def attempts(place, judges, level) -> dict:
    """Row A20: who has seen the inputs of one attempt, gains nothing by it."""
    from course.grading import grade, work

    one, other = (row.student for row in A20)

    def said(student):
        verdict = work.store().load(student, "arithmetic/first")
        return verdict["verdict"]["exercises"]["double"]["message"]

    found = {"one": said(one), "other": said(other)}
    work.store().path(one, "arithmetic/first").unlink()
    grade.run("arithmetic", [one], judges, level)
    found["one, judged again"] = said(one)
    seen = float(found["one"].split("seen ")[-1])
    text = f"""
def double(x):
    if getattr(x, "ndim", 0) == 2 and abs(x[0, 0].item() - ({seen})) > 1e-5:
        raise ValueError(f"seen {{x[0, 0].item():.6f}}")
    return 2 * x
"""
    place.submit(one, double=text, triple=TRIPLE)
    grade.run("arithmetic", [one], judges, level)
    found["one, written down"] = said(one)
    return found


def by_nbgrader(place, twin: Path) -> dict:
    """The same class by plain `nbgrader autograde`, in one run; where it differs."""
    import room

    from course.grading import plugin

    # A second each by nbgrader's way: of the answers one of each number.
    one_each = {row.id: row for row in ROWS.values() if row not in files.ROWS}
    chosen = [*one_each.values(), *files.ROWS]
    other = room.Room(twin / "course", twin / "state")
    stands = places(place)
    shutil.copy(place.state / "key", other.state / "key")
    enter(other.folder, other.state)
    for student, texts in INNOCENT.items():
        other.submit(student, **texts)
    hand_in(other, chosen, stands)
    result = other.autograde("*")
    plugin._run.judges.close()
    mine, theirs = table(place), table(other)
    one, two = place.files(), other.files()
    # Of these the gradebook has a comment, or another attempt, since.
    students = theirs.keys() - {"zoe", *(row.student for row in A20)}
    return {
        "success": result["success"],
        "log": "" if result["success"] else result.get("log", "")[-5000:],
        "error": result.get("error", "")[-3000:],
        "students": len(theirs),
        "rows": {s: [mine[s], theirs[s]] for s in students if mine[s] != theirs[s]},
        "files": sorted(
            name
            for name in one.keys() | two.keys()
            if name.split("/")[0] in students and one.get(name) != two.get(name)
        ),
    }


if __name__ == "__main__":
    main()
