"""The map of lessons: which builds on which, from `_toc.yml` and `book/lessons.yml`."""

import dataclasses
import functools
import html
import textwrap

import yaml
from docutils import nodes
from sphinx_external_toc.parsing import parse_toc_yaml

from course import paths
from course.paths import CourseError, root
from course.site.parsing import GeneratedDirective

FILE = "book/lessons.yml"
KEYS = {"name", "says", "needs", "helps"}

# Pixels: the column of part names, a column and a row of lessons, a letter.
LABELS, COLUMN, ROW, LETTER = 165, 120, 78, 7


@dataclasses.dataclass(frozen=True)
class Lesson:
    """A lesson as the map shows it; `row` and `column` count from 0."""

    path: str
    part: str
    name: str
    says: str
    needs: tuple[str, ...]
    helps: tuple[str, ...]
    row: int
    column: int


def lessons() -> dict[str, Lesson]:
    """Every lesson of the book by '<part>/<lesson>', in its order.

    Raises:
        CourseError: book/lessons.yml leaves one out, or names one that is not there or
            comes later; every mistake is named.
    """
    files = (root() / FILE, root() / "_toc.yml")
    return _read(*(file.read_text(encoding="utf-8") for file in files))


@functools.lru_cache(4)
def _read(about: str, toc: str) -> dict[str, Lesson]:
    told = yaml.safe_load(about)
    # The text of _toc.yml is the key of the cache; the parser wants its path.
    parts = [
        (tree.caption, [name.removeprefix("book/") for name in tree.files()])
        for tree in parse_toc_yaml(root() / "_toc.yml").root.subtrees
    ]
    chapters = set(paths.chapters())
    parts = [
        (caption, [name for name in names if name in chapters])
        for caption, names in parts
    ]
    parts = [(caption, names) for caption, names in parts if names]
    found, problems = {}, []
    for row, (part, names) in enumerate(parts):
        column = -1
        for path in names:
            entry = told.pop(path, None)
            if entry is None or not {"name", "says"} <= entry.keys() <= KEYS:
                problems.append(f"{path} must have a name and what it says")
                continue
            before = entry.get("needs", []) + entry.get("helps", [])
            problems += [
                f"{path} names {other}, which does not come before it in _toc.yml"
                for other in before
                if other not in found
            ]
            needed = [found[o].column for o in entry.get("needs", []) if o in found]
            column = max([column, *needed]) + 1
            found[path] = Lesson(
                path=path,
                part=part,
                name=entry["name"],
                says=entry["says"],
                needs=tuple(entry.get("needs", [])),
                helps=tuple(entry.get("helps", [])),
                row=row,
                column=column,
            )
    problems += [f"{path} is no lesson of _toc.yml" for path in told]
    if problems:
        raise CourseError("\n".join(f"{FILE}: {problem}" for problem in problems))
    return found


def place(lesson: Lesson) -> tuple[float, float]:
    """The middle of a lesson's dot, in pixels."""
    return LABELS + (lesson.column + 0.5) * COLUMN, (lesson.row + 0.35) * ROW


def line(one: Lesson, other: Lesson, kind: str) -> str:
    """From a lesson to one that builds on it; over those between them in their row."""
    (x, y), (to, down) = place(one), place(other)
    if one.row != other.row:
        middle = (x + to) / 2 if x != to else x - 0.4 * COLUMN
        d = f"M{x} {y}C{middle} {y} {middle} {down} {to} {down}"
    elif other.column - one.column == 1:
        d = f"M{x} {y}H{to}"
    else:
        d = f"M{x} {y}C{x + 40} {y - 30} {to - 40} {y - 30} {to} {y}"
    return f'<path class="{kind}" d="{d}"/>'


def ancestors(found: dict[str, Lesson], path: str) -> set[str]:
    """Everything that a lesson needs, and what that needs."""
    needs = found[path].needs
    return set(needs).union(*(ancestors(found, other) for other in needs))


def drawn(found: dict[str, Lesson], lesson: Lesson) -> list[str]:
    """The needs of a lesson that no other of its needs has already."""
    implied = set().union(*(ancestors(found, path) for path in lesson.needs))
    return [path for path in lesson.needs if path not in implied]


def drawing(found: dict[str, Lesson], link) -> str:
    """The map as SVG; `link` gives the address of a lesson."""
    all_ = list(found.values())
    width = LABELS + (1 + max(lesson.column for lesson in all_)) * COLUMN
    height = (1 + max(lesson.row for lesson in all_)) * ROW
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="group" '
        'aria-label="Map of the lessons: a line leads from a lesson to each that '
        'builds on it; the cards below say the same in words">'
    ]
    for lesson in all_:
        needs = drawn(found, lesson)
        parts += [line(found[path], lesson, "needs") for path in needs]
        parts += [line(found[path], lesson, "helps") for path in lesson.helps]
    for row, part in {lesson.row: lesson.part for lesson in all_}.items():
        lines = textwrap.wrap(part, LABELS // LETTER - 2)
        for k, words in enumerate(lines):
            y = (row + 0.35) * ROW + 5 + 17 * (k - (len(lines) - 1) / 2)
            parts.append(
                f'<text class="part" x="0" y="{y}">{html.escape(words)}</text>'
            )
    for lesson in all_:
        x, y = place(lesson)
        name = html.escape(lesson.name)
        parts.append(
            f'<a href="{link(lesson.path)}"><circle cx="{x}" cy="{y}" r="7"/>'
            f'<text x="{x}" y="{y + 25}">{name}</text></a>'
        )
    return "".join([*parts, "</svg>"])


class CourseMap(GeneratedDirective):
    """```{course-map}```: the drawing, and a card for each part."""

    def run(self):
        self.env.note_dependency(str(root() / FILE))
        self.env.note_dependency(str(root() / "_toc.yml"))
        try:
            found = lessons()
        except CourseError as error:
            raise self.error(str(error)) from None
        builder, here = self.env.app.builder, self.env.docname
        picture = drawing(
            found, lambda path: builder.get_relative_uri(here, f"book/{path}")
        )
        raw = nodes.raw("", f'<figure class="map">{picture}</figure>', format="html")
        lines = ["::::{grid} 1 1 2 2", ""]
        for part in dict.fromkeys(lesson.part for lesson in found.values()):
            lines += [f":::{{grid-item-card}} {part}", ""]
            for lesson in found.values():
                if lesson.part == part:
                    lines.append(f"- {{doc}}`/book/{lesson.path}`: {lesson.says}")
            outside = {
                f"{{doc}}`{found[path].name} </book/{path}>`": None
                for lesson in found.values()
                if lesson.part == part
                for path in lesson.needs
                if found[path].part != part
            }
            if outside:
                lines += ["", f"Builds on {', '.join(outside)}."]
            lines += [":::", ""]
        return [raw, *self.parsed([*lines, "::::"])]


def setup(app):
    """Register the directive."""
    app.add_directive("course-map", CourseMap)
