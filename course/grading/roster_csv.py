"""A list of learners as CSV: of one's own, of Moodle's or of Canvas's making.

Trusts nothing about the file but that the instructor means it; every mistake in it is
said with its line. Which kind it is follows from its header, as Moodle (4.x, in
English) and Canvas write it.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from course.grading.ids import safe_id
from course.grading.roster import Learner
from course.grading.shown import visible
from course.paths import CourseError

LARGEST = 32 * 2**20
MOST_SAID = 20  # mistakes
LONGEST = 255  # characters of a name
POINTS = "Points Possible"
ASSIGNMENT = re.compile(r"\(\d+\)$")  # "Title (123)"

# By kind: the columns it must have, and what every column we read is to us.
KINDS = {
    "own": (
        ("id", "first_name", "last_name"),
        {
            "id": "id",
            "first_name": "first_name",
            "last_name": "last_name",
            "email": "email",
            "number": "number",
            "canvas": "canvas",
        },
    ),
    "worksheet": (
        ("identifier",),
        {
            "identifier": "participant",
            "full name": "full",
            "id number": "number",
            "email address": "email",
        },
    ),
    "canvas": (
        ("id", "section"),
        {
            "student": "sortable",
            "lastname": "last_name",
            "firstname": "first_name",
            "id": "canvas",
            "sis user id": "sis",
            "sis login id": "login",
            "section": "section",
        },
    ),
    "moodle": (
        ("first name",),
        {
            "first name": "first_name",
            "last name": "last_name",
            "surname": "last_name",
            "id number": "number",
            "email address": "email",
            "username": "login",
        },
    ),
}
HEADERS = (
    "a header with id, first_name, last_name and, if you like, email, number, canvas; "
    "or the file as Moodle (in English) or Canvas exports it"
)
# What must not stand for two.
UNIQUE = {"id": "id", "number": "ID number", "email": "address", "canvas": "Canvas id"}


class Table:
    """The rows of such a file, of a kind."""

    def __init__(self, path: Path, kind: str, rows, columns: dict[str, str]):
        self.path, self.kind, self.rows = path, kind, rows
        self.columns = columns  # Canvas's assignments, with their points

    def sheet(self) -> list[tuple[str, int, Learner]]:
        """Of a worksheet, place, participant number and what it says of the learner."""
        found, wrong = [], []
        for line, row in self.rows:
            match = re.search(r"(\d{1,18})$", row["participant"])
            if not match:
                text = f"{row['participant']!r} is no participant: Participant 123 is"
                wrong.append(f"{self.path}:{line}: {text}")
                continue
            said = Learner(
                id="",
                first_name=row.get("full", ""),
                email=row.get("email", ""),
                number=row.get("number", ""),
            )
            found.append((f"{self.path}:{line}:", int(match[1]), said))
        _stop(wrong)
        return found

    def learners(self) -> list[Learner]:
        """The learners.

        Raises:
            CourseError: a row says too little, or what another has said; all such rows
                are named.
        """
        found, wrong, lines = [], [], {name: {} for name in UNIQUE}
        for line, row in self.rows:
            try:
                learner = _learner(self.kind, row)
                for name, what in UNIQUE.items():
                    value = getattr(learner, name)
                    if value in ("", None):
                        continue
                    first = lines[name].setdefault(str(value).casefold(), line)
                    if first != line:
                        text = f"has the {what} {value!r}, as line {first} has"
                        raise CourseError(text)
                found.append(learner)
            except CourseError as error:
                wrong.append(f"{self.path}:{line}: {error}")
        _stop(wrong)
        if not found:
            raise CourseError(f"{self.path} names no learner")
        return found


def _stop(wrong: list[str]):
    if len(wrong) > MOST_SAID:
        wrong[MOST_SAID:] = [f"and {len(wrong) - MOST_SAID} more"]
    if wrong:
        raise CourseError("\n".join(wrong))


def _learner(kind: str, row: dict[str, str]) -> Learner:
    canvas = row.pop("canvas", "")
    if canvas and not re.fullmatch(r"\d{1,18}", canvas):
        raise CourseError(f"{canvas!r} is no id of Canvas's, which is a number")
    if "sortable" in row:  # "Lovelace, Ada"; others have one name
        last, _, first = row.pop("sortable").partition(",")
        row |= {"last_name": last.strip(), "first_name": first.strip()}
    if not (row.get("first_name") or row.get("last_name")):
        raise CourseError("has no name")
    chosen = {
        "own": ["id"],
        "moodle": ["number", "email", "login"],
        "canvas": ["sis", "login"],
    }[kind]
    named = next((row[key] for key in chosen if row.get(key)), "")
    if not named and kind == "canvas" and canvas:
        named = f"canvas-{canvas}"
    if not named:
        wanted = {"own": "id", "moodle": "ID number, address or username"}
        raise CourseError(f"has no {wanted.get(kind, 'ID')}")
    # Systems do not tell capitals from small letters; a folder's name does.
    row["id"] = safe_id(named if kind == "own" else named.lower())
    return Learner(**row, canvas=int(canvas) if canvas else None)


def read(path: Path) -> Table:
    """The table in a file.

    Raises:
        CourseError: it is no such table; the text says where, and what to do.
    """
    rows = _cells(path, _text(path))
    first = next(rows, None)
    if first is None:
        raise CourseError(f"{path} is empty")
    header = [cell.strip() for cell in first[1]]
    plain = [cell.casefold() for cell in header]
    kind = next(
        (kind for kind, (needed, _) in KINDS.items() if set(needed) <= set(plain)),
        None,
    )
    if kind is None:
        raise CourseError(f"{path}:1: these are no columns of learners: give {HEADERS}")
    meaning = KINDS[kind][1]
    twice = sorted(
        {each for each in plain if plain.count(each) > 1 and each in meaning}
    )
    if twice:
        raise CourseError(f"{path}:1: there are two columns {', '.join(twice)}")
    names = [meaning.get(each) for each in plain]
    columns = {}
    if kind == "canvas":
        columns = dict.fromkeys(
            (each for each in header if ASSIGNMENT.search(each)), ""
        )
    found = list(_rows(path, rows, names, header, columns))
    return Table(path, kind, found, columns)


def _rows(path, rows, names, header, columns) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows by line; what Canvas says of an assignment goes into `columns`."""
    for line, cells in rows:
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if len(cells) > len(header) and any(cells[len(header) :]):
            raise CourseError(
                f"{path}:{line}: {len(cells)} cells, and only {len(header)} columns: "
                "a cell with a comma or semicolon in it must be quoted"
            )
        cells += [""] * (len(header) - len(cells))
        row = {n: visible(cell) for n, cell in zip(names, cells) if n}
        long = next((cell for cell in row.values() if len(cell) > LONGEST), None)
        if long:
            raise CourseError(f"{path}:{line}: {long[:20]}… is too long")
        if "section" in row and not row["canvas"] and cells[0] in ("", POINTS):
            # Canvas's second and third row are about assignments.
            if cells[0] == POINTS:
                said = dict(zip(header, cells))
                columns.update({each: _number(said[each]) for each in columns})
            continue
        yield line, row


def _number(text: str) -> str:
    return text if re.fullmatch(r"\d+(\.\d+)?", text) else ""


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CourseError(f"{path}: {error.strerror}") from error
    if len(data) > LARGEST:
        raise CourseError(f"{path} is too large for a list of learners")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise CourseError(f"{path} is UTF-16: save it as CSV in UTF-8")
    if data[:4] == b"PK\x03\x04":
        raise CourseError(f"{path} is a workbook: save it as CSV in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CourseError(
            f"{path}:{line}: is not UTF-8 (byte 0x{data[error.start]:02X}): save it "
            "as CSV in UTF-8"
        ) from error
    if "\0" in text:
        raise CourseError(f"{path} is not text: save it as CSV in UTF-8")
    return text


def _cells(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines and their cells; the header's own separator separates."""
    head = text.partition("\n")[0]
    between = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise CourseError(f"{path}:{line}: {error}") from error
