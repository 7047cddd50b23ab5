"""Rows of files: notebooks stripped, torn or doctored, and what is no notebook."""

import copy
import json
import os
import socket

from catalogue.row import (
    FULL,
    NOTHING,
    RIGHT,
    STUB,
    WRONG,
    Row,
    cell,
    code,
    tests,
)


def skipped(node):
    for each in tests(node):
        each["metadata"]["tags"] = ["skip-execution"]


def shown(node):
    """Outputs that were there before, under the names of tests."""
    result = {"output_type": "execute_result", "execution_count": 1, "metadata": {}}
    for each in node["cells"]:
        if each["cell_type"] == "code":
            data = {"text/plain": "2.0", "text/html": "<script>alert(1)</script>"}
            each["outputs"] = [result | {"data": data}]


# Metadata


def bare(node):
    """As Colab and Kaggle save it: no metadata."""
    for each in node["cells"]:
        each["metadata"] = {}


def nameless(node):
    """As jupytext reads it from a script: no ids either."""
    bare(node)
    node["metadata"].pop("course", None)
    for each in node["cells"]:
        each.pop("id")
    node["nbformat_minor"] = 4


def doctored(**changes):
    """A change of nbgrader's metadata of every test."""

    def change(node):
        for each in tests(node):
            each["metadata"]["nbgrader"] |= changes

    return change


def unversioned(node):
    for each in tests(node):
        each["metadata"]["nbgrader"].pop("schema_version")


def as_text(node):
    for each in tests(node):
        each["cell_type"] = "markdown"
        each["metadata"]["nbgrader"]["cell_type"] = "markdown"
        each.pop("outputs")
        each.pop("execution_count")


def emptied(node):
    for each in tests(node):
        each["source"] = "pass"


def kernel(spec):
    def change(node):
        node["metadata"].pop("language_info", None)
        node["metadata"].pop("kernelspec", None)
        node["metadata"] |= spec

    return change


# Cells


def without(*names):
    def change(node):
        node["cells"] = [each for each in node["cells"] if each["id"] not in names]

    return change


def twice(name, before=None):
    """A cell copied, ids and all; `before` is what the first of the two says."""

    def change(node):
        place = node["cells"].index(cell(node, name))
        node["cells"].insert(place, copy.deepcopy(node["cells"][place]))
        if before is not None:
            node["cells"][place]["source"] = before

    return change


def backwards(node):
    node["cells"] = [node["cells"][0], *reversed(node["cells"][1:])]


def split(node):
    """The answer begins in its cell and is completed in a new one behind."""
    place = node["cells"].index(cell(node, "double"))
    node["cells"][place]["source"] = "factor = 2"
    more = code("def double(x):\n    return factor * x", "rest")
    node["cells"].insert(place + 1, more)


def moved(node):
    """The answer stands at the very end, its own cell is gone."""
    without("double")(node)
    node["cells"].append(code(RIGHT, "late"))


def helped(node):
    """A cell of one's own before the answer, which needs it."""
    place = node["cells"].index(cell(node, "double"))
    node["cells"].insert(place, code("def times(k, x):\n    return k * x", "helper"))


def text(source):
    """A text cell of one's own."""

    def change(node):
        own = {"cell_type": "markdown", "id": "mine", "metadata": {}, "source": source}
        node["cells"].append(own)

    return change


# Files


def data(made):
    """The bytes that `made` makes of the notebook's text."""

    def write(whole, path):
        path.write_bytes(made(whole))

    return write


def many_cells(whole):
    node = json.loads(whole)
    node["cells"] = [code("1", f"c{k}") for k in range(10**5)]
    return json.dumps(node).encode()


def huge(whole, path):
    path.write_text(whole)
    os.truncate(path, 500 * 2**20)


def sparse(whole, path):
    path.write_text(whole)
    os.truncate(path, 2**20)


def link(whole, path):
    path.symlink_to(os.environ["CATALOGUE_GRADEBOOK"])


def hard_link(whole, path):
    path.with_name("kept.txt").write_text(whole)
    os.link(path.with_name("kept.txt"), path)


def pipe(whole, path):
    os.mkfifo(path)


def listening(whole, path):
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(path.name)
    os.chdir(here)


def set_uid(whole, path):
    path.write_text(whole)
    path.chmod(0o4755)


def beside(*names, content="raise SystemExit('imported')\n"):
    """The notebook, with files beside it."""

    def write(whole, path):
        path.write_text(whole)
        for name in names:
            (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (path.parent / name).write_text(content)

    return write


def two_versions(whole, path):
    path.write_text(whole)
    old = whole.replace("2 * x", "0 * x")
    path.with_name("first (1).ipynb").write_text(old)


def also_another(whole, path):
    path.write_text(whole)
    path.with_name("Untitled.ipynb").write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []})
    )


def renamed(node):
    node["metadata"]["course"]["lesson"] = "arithmetic/second"


XSS = """<script>alert(1)</script> <img src=x onerror=alert(1)>
[a link](javascript:alert(1)) ![b](http://127.0.0.1:1/x.png)
<svg onload=alert(1)><a href="data:text/html,<script>alert(1)</script>">x</a></svg>
$\\href{javascript:alert(1)}{x}$
"""
LOUD = r"""
from IPython.display import HTML, display
display(HTML("<script>alert(1)</script>"))
class Evil(Exception):
    pass
Evil.__name__ = "<img src=x onerror=alert(1)>"
def double(x):
    raise Evil("\x1b]0;title\x07\x1b[31m<script>alert(1)</script>\u202egnp.exe")
"""

GOOD = {"answer": RIGHT, "status": "passed", "points": FULL}
REFUSED = {"status": "not gradable", "points": NOTHING, "notes": ()}


def refused(name, message, raw, **more):
    """A row of a file that nothing can be taken from."""
    return Row(name, RIGHT, message=message, raw=raw, **REFUSED, **more)


ROWS = [
    Row(
        "A1 the tag skip-execution on tests",
        message="two ones doubled",
        change=skipped,
        stock=True,
    ),
    Row(
        "A9 outputs that were there before",
        message="two ones doubled",
        change=shown,
        stock=True,
    ),
    # N1: no notebook
    refused("N1 an empty file", "the file is empty", data(lambda t: b""), stock=True),
    refused(
        "N1 cut in the middle",
        "not valid JSON at line [0-9]+, column [0-9]+",
        data(lambda t: t[: len(t) // 2].encode()),
        stock=True,
    ),
    refused(
        "N1 a byte order mark",
        "byte order mark",
        data(lambda t: b"\xef\xbb\xbf" + t.encode()),
        stock=True,
    ),
    refused("N1 UTF-16", "UTF-16", data(lambda t: t.encode("utf-16")), stock=True),
    refused(
        "N1 NaN in the JSON",
        "NaN is not",
        data(lambda t: t.replace('"version": 1', '"version": NaN').encode()),
    ),
    refused("N1 500 MB", "500 MiB", huge),
    refused("N1 10^5 cells", "100000 cells are too many", data(many_cells)),
    refused(
        "N1 depth 10^5",
        "nested too deeply",
        data(lambda t: b"[" * 10**5 + b"]" * 10**5),
    ),
    refused("N1 a list", "not a notebook", data(lambda t: b"[1]"), stock=True),
    # N3 to N8: notebooks that lost something, or gained it
    Row(
        "N3 metadata stripped, as by Colab",
        **GOOD,
        change=bare,
        notes=("metadata-lost",),
        stock=True,
    ),
    Row(
        "N3 metadata and ids stripped, as by jupytext",
        **GOOD,
        change=nameless,
        notes=("metadata-lost",),
        stock=True,
    ),
    Row("N4 a test deleted", change=without("test_double"), message="ones", stock=True),
    Row(
        "N4 all tests deleted",
        change=without("test_double", "test_triple"),
        message="ones",
        stock=True,
    ),
    Row(
        "N4 the answer deleted too",
        change=without("double", "test_double"),
        status=STUB,
        message=STUB,
        notes=("missing",),
        stock=True,
    ),
    Row(
        "N5 a test duplicated", change=twice("test_double"), message="ones", stock=True
    ),
    Row(
        "N5 an answer duplicated, the last one right",
        **GOOD,
        change=twice("double", WRONG),
        notes=("several",),
        stock=True,
    ),
    Row("N6 cells in another order", **GOOD, change=backwards, stock=True),
    Row(
        "N6 the answer split over two cells",
        **GOOD,
        change=split,
        stock=True,
    ),
    Row(
        "N6 the answer in a new cell at the end",
        **GOOD,
        change=moved,
        notes=("moved",),
        stock=True,
    ),
    Row(
        "N6 a cell of one's own that the answer needs",
        "def double(x):\n    return times(2, x)",
        status="passed",
        points=FULL,
        change=helped,
        stock=True,
    ),
    Row(
        "N7 tests edited",
        change=emptied,
        message="ones",
        notes=("test-restored",),
        stock=True,
    ),
    Row("N7 points changed", change=doctored(points=99), message="ones", stock=True),
    Row("N7 grade: false", change=doctored(grade=False), message="ones", stock=True),
    Row(
        "N7 tests made solutions",
        change=doctored(solution=True),
        message="ones",
        stock=True,
    ),
    Row(
        "N7 tests unlocked and edited",
        change=lambda node: (doctored(locked=False)(node), emptied(node)),
        message="ones",
        stock=True,
    ),
    Row(
        "N7 schema version 99",
        change=doctored(schema_version=99),
        message="ones",
        stock=True,
    ),
    Row("N7 no schema version", change=unversioned, message="ones", stock=True),
    Row("N7 tests turned into text", change=as_text, message="ones", stock=True),
    Row(
        "N8 another kernel",
        **GOOD,
        change=kernel({"kernelspec": {"name": "julia", "display_name": "Julia"}}),
        stock=True,
    ),
    Row("N8 no kernel", **GOOD, change=kernel({}), stock=True),
    # N9, N10: the wrong file
    Row("N9 another name", **GOOD, file="homework.ipynb", stock=True),
    Row("N9 a copy", **GOOD, file="first (1).ipynb", stock=True),
    Row("N9 an extra notebook", **GOOD, raw=also_another, stock=True),
    Row("N9 two versions", **GOOD, raw=two_versions, stock=True),
    Row(
        "N9 another exercise under this name",
        RIGHT,
        change=renamed,
        message="the notebook of 'arithmetic/second', not of 'arithmetic/first'",
        status="not gradable",
        points=NOTHING,
        stock=True,
    ),
    Row(
        "N10 one notebook of two missing",
        **GOOD,
        stock=True,
    ),
    # N12, N14, N15: what lies beside, or is no file
    refused("N12 a symbolic link", "first.ipynb: is a symbolic link", link),
    refused("N12 a hard link", "first.ipynb: is a hard link", hard_link),
    refused("N12 a named pipe", "first.ipynb: is a named pipe", pipe),
    refused("N12 a socket", "first.ipynb: is a socket", listening),
    refused("N12 a sparse file", "first.ipynb: has holes", sparse),
    refused("N12 a setuid file", "first.ipynb: runs with its owner's rights", set_uid),
    Row(
        "N14 files that shadow modules",
        **GOOD,
        raw=beside("numpy.py", "torch/__init__.py", "sitecustomize.py", "math.py"),
        stock=True,
    ),
    Row(
        "N15 a forged time",
        **GOOD,
        raw=beside("timestamp.txt", content="2001-01-01 00:00:00 UTC\n"),
        stock=True,
    ),
    Row(
        "N15 garbage for a time",
        **GOOD,
        raw=beside("timestamp.txt", content="yesterday"),
        stock=True,
    ),
    # N16: what a page or a terminal would obey
    Row(
        "N16 scripts in text, outputs and errors",
        LOUD,
        change=text(XSS),
        message=r"\\x1b|<script>|onerror",
    ),
]
