"""A class as two systems know it, and what those systems write, by their own rules."""

import datetime
import re
import zipfile

import nbformat
from click.testing import CliRunner

NOON = datetime.datetime(2026, 3, 29, 12, 0, tzinfo=datetime.UTC)
LATER = NOON + datetime.timedelta(hours=1)
STUB = "def double(x):\n    raise NotImplementedError"


def notebook(answer=STUB, lesson="part/first"):
    cell = nbformat.v4.new_code_cell(answer, id="double")
    cell.metadata.nbgrader = {
        **{"schema_version": 3, "grade_id": "double", "cell_type": "code"},
        **{"solution": True, "grade": False, "locked": False, "task": False},
    }
    metadata = {"course": {"lesson": lesson, "version": 1}}
    return nbformat.v4.new_notebook(cells=[cell], metadata=metadata)


def text(answer=STUB, lesson="part/first"):
    return nbformat.writes(notebook(answer, lesson)).encode()


ONE = text("def double(x):\n    return 2 * x")
TWO = text("def double(x):\n    return x + x")

# As `Grades > Export > Plain text file` of Moodle 4 writes it.
MOODLE = """\
"First name","Last name","ID number",Institution,Department,"Email address",Rotary
Ada,Lovelace,s1,,,ada@uni.example,-
Bob,O'Brien,s2,,,bob@uni.example,-
Zoë,Ü,s3,,,zoe@uni.example,-
Sam,Twin,s4,,,sam1@uni.example,-
Sam,Twin,s5,,,sam2@uni.example,-
"""
# As `Export Entire Gradebook` of Canvas writes it, with a row of notices and one of
# points.
CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,Arithmetic (77),Current Score
,,,,,Manual Posting,
    Points Possible,,,,,5.00,(read only)
"Lovelace, Ada",11,s1,ada,A,,
"O'Brien, Bob",12,s2,bob,A,,
"Ü, Zoë",13,s3,zoe,A,,
Madonna,14,,,A,,
"""


def sheet(*rows):
    """A grading worksheet of Moodle's: (participant, full name, ID number)."""
    head = "Identifier,Full name,ID number,Email address,Status,Grade,Maximum Grade"
    lines = [f"Participant {n},{name},{number},,,,5.00" for n, name, number in rows]
    return "\n".join([head, *lines]) + "\n"


def clean_filename(name):
    """Moodle's function of that name, for what names of people can hold."""
    name = re.sub(r"[\x00-\x1f\x7f&<>\"`|':\\/]", "", name)
    return re.sub(r"\.\.+", "", name)


def moodle_folder(name, number, since_41=True):
    """What Moodle calls the folder of a participant."""
    prefix = clean_filename(f"{name.replace('_', ' ')}_{number}")
    return f"{prefix}_assignsubmission_file{'' if since_41 else '_'}"


def canvas_name(sortable, user, file, name, late=False):
    """What Canvas calls a file (ContentZipper)."""
    person = re.sub(r"_(\d+)_", r"\1", sortable).lower()
    marks = [person, "LATE" if late else None, str(user)]
    prefix = re.sub(r"[^\w]", "", "_".join(each for each in marks if each))
    return f"{prefix}_{file}_{re.sub(r'[*:?<>|/]+', '_', name)}"


def zipped(path, entries):
    """A zip of (name, data)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def enrol(tmp_path, text=MOODLE, name="list.csv", encoding="utf-8"):
    """`course roster` with a file of this text."""
    from course.grading.roster import roster_command

    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return CliRunner().invoke(roster_command, [str(file)])


def submitted(course):
    folder = course / "grading/submitted"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*.ipynb")
    }


def codes(collection):
    return {missed.name: missed.why.code for missed in collection.missed}
