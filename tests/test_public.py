"""Nothing that a reader or a learner gets holds a solution or a hidden test."""

import pytest

from course.exercises.regions import HIDDEN, SOLUTION, region
from course.exercises.source import read
from course.paths import lessons, root

SITE = root() / "_build" / "html"


def secrets(lesson: str) -> set[str]:
    """Lines that stand in solutions and hidden tests only, longer than `return x`."""
    hidden, visible = set(), set()
    for cell in read(lesson).cells:
        private = region(cell.source, SOLUTION) | region(cell.source, HIDDEN)
        for number, line in enumerate(cell.source.split("\n")):
            (hidden if number in private else visible).add(line.strip())
    return {line for line in hidden - visible if len(line) >= 30}


@pytest.fixture(scope="module")
def public() -> str:
    """Everything in the site and the learners' notebooks, as one text."""
    assert (SITE / "_static" / "search-index.js").is_file(), "run `course build` first"
    files = [*SITE.rglob("*"), *(root() / "exercises").rglob("*.ipynb")]
    texts = {".html", ".js", ".md", ".ipynb", ".txt", ".py", ".json"}
    return "\n".join(
        path.read_text(encoding="utf-8", errors="replace")
        for path in files
        if path.suffix in texts
    )


@pytest.fixture(scope="module")
def shown() -> str:
    """What chapters and `lib` print openly: no secret, wherever else it stands."""
    files = [*(root() / "book").rglob("*.md"), *(root() / "lib").rglob("*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("lesson", lessons())
def test_no_line_of_a_solution_or_hidden_test_is_public(lesson, public, shown):
    hidden = {line for line in secrets(lesson) if line not in shown}
    assert len(hidden) > 5, "the lesson has secrets to look for"
    quoted = {line.replace('"', '\\"') for line in hidden}
    assert [line for line in hidden | quoted if line in public] == []
