"""A copy of the small course, as the working directory."""

import shutil
from pathlib import Path

import pytest

from course import paths

MINICOURSE = Path(__file__).parents[1] / "minicourse"


class Minicourse:
    """The copy in `folder`; its one lesson is `lesson`."""

    lesson = "averages/centring"
    source = "solutions/averages/centring.py"
    notebook = "exercises/averages/centring.ipynb"
    bodies = "tests/averages/submissions/centring"

    def __init__(self, folder):
        self.folder = folder

    def read(self, file):
        return (self.folder / file).read_text(encoding="utf-8")

    def write(self, file, text):
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, file, old, new):
        """Replace the first `old`, which must be there."""
        text = self.read(file)
        assert old in text
        self.write(file, text.replace(old, new, 1))


@pytest.fixture
def minicourse(tmp_path, monkeypatch):
    folder = tmp_path / "minicourse"
    shutil.copytree(MINICOURSE, folder)
    shutil.copy(Path(paths.__file__).parents[1] / "nbgrader_config.py", folder)
    monkeypatch.chdir(folder)
    paths.root.cache_clear()
    yield Minicourse(folder)
    paths.root.cache_clear()
