"""The page on dependencies says what is installed, of everything that is named."""

import importlib.metadata
import re
from email.message import Message
from importlib.metadata import PackageNotFoundError

import pytest

from course import dependencies
from course.paths import CourseError, root

PAGE = (root() / dependencies.PAGE).read_text(encoding="utf-8")
# From a heading with the name of an extra to the next heading.
TABLES = dict(
    re.findall(r"^## [^\n]*?(?:\(`(\w+)`\))?\n(.*?)(?=^## )", PAGE, re.M | re.S)
)
TABLES["base"] = PAGE.split("\n## ")[1]
DIRECT = dependencies.direct()


def named(table):
    return [match[1] for match in dependencies.ROW.finditer(table)]


def installed(name):
    try:
        return importlib.metadata.version(name)
    except PackageNotFoundError:
        return None


@pytest.mark.parametrize("extra", DIRECT)
def test_every_direct_dependency_has_a_row_where_it_belongs(extra):
    assert named(TABLES[extra]) == sorted(DIRECT[extra])


@pytest.mark.parametrize("name", [name for names in DIRECT.values() for name in names])
def test_a_row_says_the_licence_installed_and_why_when_nobody_imports_it(name):
    if not installed(name):
        pytest.skip(f"{name} is not installed: its licence cannot be read")
    [row] = re.findall(rf"^\| `{name}` .*", PAGE, re.M)
    assert row.startswith(dependencies.row(name)), "run `make dependencies`"
    why = row.split(" | ")[2]
    assert why.startswith("Not imported: ") == (not dependencies.importers(name))


def test_what_is_bundled_has_the_licence_beside_it():
    rows = [match[0] for match in dependencies.ROW.finditer(PAGE) if "/" in match[1]]
    assert len(rows) == 2
    for row in rows:
        assert row == dependencies.row(row.split("`")[1])


def test_the_lock_is_counted_as_it_is():
    absent = [name for name in dependencies.locked() if not installed(name)]
    if absent:
        pytest.skip(f"{', '.join(absent)} of the lock: not installed")
    assert dependencies.summary() in PAGE, "run `make dependencies`"


def test_writing_again_keeps_what_is_by_hand():
    changed = PAGE.replace("| MIT |", "| GPL-3.0-only |").replace("runs the tests", "!")
    assert dependencies.page(changed) == PAGE.replace("runs the tests", "!")


def metadata(monkeypatch, *lines):
    """The metadata of a package that holds these lines."""
    data = Message()
    for line in lines:
        data.add_header(*line.split(": ", 1))
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _: data)
    monkeypatch.setattr(importlib.metadata, "files", lambda _: ())


BSD = "Classifier: License :: OSI Approved :: BSD License"


def test_the_clearest_word_on_a_licence_is_taken(monkeypatch):
    metadata(monkeypatch, "License: BSD", BSD, "License-Expression: BSD-3-Clause")
    assert dependencies.licence("x") == "BSD-3-Clause"
    metadata(monkeypatch, "License: New BSD", BSD, BSD.replace("BSD", "GPL"))
    assert dependencies.licence("x") == "BSD License, GPL License"
    metadata(monkeypatch, "License: New BSD", "Classifier: Framework :: Jupyter")
    assert dependencies.licence("x") == "New BSD"


def test_a_package_that_says_no_licence_is_not_passed_over(monkeypatch):
    metadata(monkeypatch, "License: UNKNOWN", "Name: x")
    with pytest.raises(CourseError, match="x does not say its licence"):
        dependencies.licence("x")


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("LGPL-3.0-only", "LGPL"),
        ("GNU Lesser General Public License v3 (LGPLv3)", "LGPL"),
        ("GNU Affero General Public License v3", "AGPL"),
        ("BSD License, GNU General Public License (GPL)", "GPL"),
        ("MPL-2.0 AND MIT", "MPL"),
        ("Apache-2.0 AND BSD-2-Clause", "Apache"),
        ("A licence of its own", "other"),
    ],
)
def test_the_strictest_part_of_a_licence_is_its_family(text, family):
    assert dependencies.family(text) == family
