"""`course solve`: an exercise source as a notebook in JupyterLab, saved back as text.

The notebook lies in `_build/solve/`; while JupyterLab runs, every save of it is written
to the source. A record beside it says what both sides held when they last agreed, so
that edits of either side are carried over, and those of both are never mixed.
"""

import hashlib
import json
import os
import subprocess
import sys
import time

import click

from course.paths import CourseError, lessons, root

HEADER = (
    "solution",
    "difficulty",
    "minutes",
    "device",
    "test",
    "aspect",
    "points",
)


@click.command("solve")
@click.argument("lesson")
def solve_command(lesson):
    """Open the exercise source of LESSON, '<part>/<lesson>', in JupyterLab."""
    if lesson not in lessons():
        known = ", ".join(lessons()) or "none"
        raise CourseError(f"no exercise source for `{lesson}`; there are: {known}")
    pair = Pair(lesson)
    _tell(pair, pair.sync())
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root()}"]
    lab = subprocess.Popen([*command, str(pair.notebook)])
    refused = None
    while lab.poll() is None:
        # Ctrl-C is JupyterLab's: it asks, and then ends.
        try:
            time.sleep(1)
            _tell(pair, pair.sync())
            refused = None
        except KeyboardInterrupt:
            continue
        except CourseError as error:
            if str(error) != refused:
                click.secho(str(error), fg="red", err=True)
            refused = str(error)
    _tell(pair, pair.sync())
    if lab.returncode:
        raise CourseError(f"JupyterLab ended with exit code {lab.returncode}")


def _tell(pair, written):
    if written:
        click.echo(f"{time.strftime('%H:%M:%S')} wrote {_name(written)}")


class Pair:
    """The source of a lesson and the notebook made of it."""

    def __init__(self, lesson):
        folder = root() / "_build" / "solve"
        self.source = root() / "solutions" / f"{lesson}.py"
        self.notebook = folder / f"{lesson}.ipynb"
        self.record = folder / f"{lesson}.json"

    def sync(self):
        """Carry edits over; the path that was written, or None.

        Raises:
            CourseError: both sides were edited, each in its own way.
        """
        text = self.source.read_text(encoding="utf-8")
        if not self.notebook.exists():
            return self._write_notebook(text)
        edited = _to_text(self.notebook.read_text(encoding="utf-8"), text)
        record = {}
        if self.record.exists():
            record = json.loads(self.record.read_text(encoding="utf-8"))
        source_changed = record.get("source") != _hash(text)
        notebook_changed = record.get("notebook") != _hash(edited)
        if source_changed and notebook_changed and edited != text:
            raise CourseError(
                f"{_name(self.source)} and {_name(self.notebook)} were both edited: "
                "take over by hand what you want to keep, then delete the notebook"
            )
        if source_changed:
            return self._write_notebook(text)
        if notebook_changed:
            _replace(self.source, edited)
            self._note(edited, edited)
            return self.source
        return None

    def _write_notebook(self, text):
        import jupytext
        import nbformat

        node = jupytext.reads(text, fmt="py:percent")
        # Its note on the form of the text would make JupyterLab's extension pair files.
        node.metadata.pop("jupytext", None)
        content = nbformat.writes(node) + "\n"
        self.notebook.parent.mkdir(parents=True, exist_ok=True)
        _replace(self.notebook, content)
        self._note(text, _to_text(content, text))
        return self.notebook

    def _note(self, text, edited):
        record = {"source": _hash(text), "notebook": _hash(edited)}
        _replace(self.record, json.dumps(record))


def _to_text(content, before):
    """A notebook as py:percent, under the header that the text had before."""
    import jupytext
    import nbformat

    node = nbformat.reads(content, as_version=4)
    for cell in node.cells:
        # Jupyter sorts the keys; a header has them in their order.
        order = sorted(cell.metadata, key=lambda key: [*HEADER, key].index(key))
        cell.metadata = {key: cell.metadata[key] for key in order}
    node.metadata = {"kernelspec": node.metadata.get("kernelspec", {})}
    text = jupytext.writes(node, fmt="py:percent")
    return _split(before)[0] + _split(text)[1]


def _split(text):
    """The header of a source, and its cells."""
    begin = text.find("# %%")
    return (text[:begin], text[begin:]) if begin >= 0 else (text, "")


def _replace(path, text):
    """Write the whole file or nothing: whoever looks meanwhile sees the old one."""
    new = root() / "_build" / "solve" / "new"
    new.parent.mkdir(parents=True, exist_ok=True)
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _name(path):
    return path.relative_to(root()).as_posix()
