"""Write the licences of what is installed into `DEPENDENCIES.md`.

    python -m course.dependencies        (or: make dependencies)

Why a package is there, and what it would take to leave it, is written there by hand.
Licences are read from the metadata of what is installed and from the files beside what
is bundled, never typed.
"""

import functools
import importlib.metadata
import re
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

from course.paths import CourseError, root

OWN = "runnable-deep-learning"
PAGE = "DEPENDENCIES.md"
FOLDERS = ("book", "course", "lib", "solutions", "tests", "benchmarks")
IMPORT = re.compile(
    r'^\s*(?:import|from) (\w+)|(?:importorskip|find_spec)\("(\w+)', re.MULTILINE
)
# The first family whose pattern fits a licence is the one that asks for most.
FAMILIES = {
    "AGPL": r"AGPL|Affero",
    "LGPL": r"LGPL|Lesser",
    "GPL": r"GPL|General Public",
    "MPL": r"MPL|Mozilla",
    "Apache": r"Apache",
    "BSD": r"BSD",
    "MIT": r"MIT",
    "ISC": r"ISC",
    "PSF": r"PSF|Python Software Foundation|matplotlib",
}
COPYLEFT = ("AGPL", "LGPL", "GPL", "MPL")
# A row of a table: what it is about, a licence, and what is by hand.
ROW = re.compile(r"^\| `([^`]+)` \| [^|]* \|", re.MULTILINE)
SUMMARY = re.compile(r"(<!-- lock -->\n).*(<!-- end -->)", re.DOTALL)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def direct() -> dict[str, list[str]]:
    """The names of pyproject.toml by extra, the extra of all being 'base'."""
    project = tomllib.loads((root() / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {"base": project["dependencies"], **project["optional-dependencies"]}
    named = {
        extra: [_plain(re.match(r"[\w.-]+", each)[0]) for each in wanted]
        for extra, wanted in extras.items()
    }
    return {extra: [n for n in names if n != OWN] for extra, names in named.items()}


def locked() -> list[str]:
    """The names of the lock file."""
    lines = (root() / "requirements.lock").read_text("utf-8").splitlines()
    return [_plain(line.partition("==")[0]) for line in lines if "==" in line]


def licence(name: str) -> str:
    """The licence of an installed package, in its own metadata's words.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    data = importlib.metadata.metadata(name)
    said = [
        each.split(" :: ")[-1]
        for each in data.get_all("Classifier", [])
        if each.startswith("License :: ") and each != "License :: OSI Approved"
    ]
    # Some hold the whole text, others the name alone.
    line = (data.get("License") or "").strip()
    line = "" if "\n" in line or line in ("", "UNKNOWN") else line
    text = data.get("License-Expression") or ", ".join(said) or line or _first(name)
    return text.replace("|", "/")


def _first(name: str) -> str:
    """The first line of the licence that a package brings."""
    for path in importlib.metadata.files(name) or ():
        if re.search(r"licen[cs]e|copying", path.name, re.IGNORECASE):
            return _title(path.read_text())
    raise CourseError(f"{name} does not say its licence: name it in course/{__name__}")


def _title(text: str) -> str:
    lines = (line.strip(" *#") for line in text.splitlines())
    return next(line for line in lines if line)


def bundled(path: str) -> str:
    """The licence of what is in the repository and others made, from LICENSE or README
    beside it."""
    where = root() / path
    folder = where if where.is_dir() else where.parent
    if (folder / "LICENSE").is_file() and folder != root():
        return _title((folder / "LICENSE").read_text("utf-8"))
    found = re.search(
        r"(?<=the )[A-Z][A-Za-z\s]+ License( Version \d)?",
        (folder / "README.md").read_text("utf-8"),
    )
    if found is None:
        raise CourseError(f"{folder} says nowhere under which licence {path} is")
    return " ".join(found[0].split())


def family(text: str) -> str:
    """The family of a licence."""
    fits = (name for name, pattern in FAMILIES.items() if re.search(pattern, text))
    return next(fits, "other")


@functools.cache
def _imports() -> dict[str, set[str]]:
    """By module, the folders that import it; submissions are learners'."""
    found = defaultdict(set)
    files = [path for f in FOLDERS for path in sorted((root() / f).rglob("*.*"))]
    for path in [*files, root() / "nbgrader_config.py"]:
        parts = path.relative_to(root()).parts
        if path.suffix not in (".py", ".md") or {"submissions", "saved"} & {*parts}:
            continue
        for match in IMPORT.finditer(path.read_text("utf-8")):
            found[match[1] or match[2]].add(parts[0])
    return dict(found)


@functools.cache
def _modules() -> dict[str, list[str]]:
    """By package, the modules that it brings."""
    found = defaultdict(list)
    for module, names in importlib.metadata.packages_distributions().items():
        for name in names:
            found[_plain(name)].append(module)
    return dict(found)


def importers(name: str) -> list[str]:
    """The folders of the repository that import a package, sorted."""
    folders = (_imports().get(module, set()) for module in _modules().get(name, ()))
    return sorted(set().union(*folders))


def row(what: str) -> str:
    """The columns that are read, of a package or of a path in the repository."""
    return f"| `{what}` | {bundled(what) if '/' in what else licence(what)} |"


def summary() -> str:
    """How many packages of the lock are of which family, and which ask for more."""
    found = {name: licence(name) for name in locked()}
    by = defaultdict(list)
    for name, text in found.items():
        by[family(text)].append(name)
    lines = ["| family | packages |", "|---|---:|"]
    most = sorted(by, key=lambda each: (-len(by[each]), each))
    lines += [f"| {each} | {len(by[each])} |" for each in most]
    lines += ["", f"Of {len(found)} packages these are copyleft, or none of the above:"]
    lines += [""]
    lines += [
        f"- `{name}`: {found[name]}"
        for each in (*COPYLEFT, "other")
        for name in by.get(each, ())
    ]
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """DEPENDENCIES.md with what is read as it is today."""
    text = ROW.sub(lambda match: row(match[1]), text)
    return SUMMARY.sub(lambda match: match[1] + summary() + match[2], text)


def main() -> None:
    """Write the page."""
    path: Path = root() / PAGE
    try:
        path.write_text(page(path.read_text("utf-8")), "utf-8")
    except importlib.metadata.PackageNotFoundError as error:
        raise CourseError(
            f"{error.name} is not installed, so its licence cannot be read: "
            "python -m pip install -c requirements.lock -e '.[oracle]'"
        ) from error


if __name__ == "__main__":
    try:
        main()
    except CourseError as error:
        sys.exit(str(error))
