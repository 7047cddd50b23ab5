"""Which chapters must run, running them, and keeping what they printed.

The store is jupyter-cache, where plain `jupyter-book build .` looks too. jupyter-cache
knows a chapter by its code cells alone; each record carries the chapter's whole key
(`course.site.keys`) as well, and a record whose key is not today's is removed before
anybody can use it.
"""

import dataclasses
import datetime
import functools
import json
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache.db import NbCacheRecord
from myst_nb.core.config import NbParserConfig
from myst_nb.core.read import create_nb_reader
from myst_parser.config.main import MdParserConfig
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from course import paths
from course.paths import CourseError, root
from course.site.keys import chapter_key

# One cell may take this long before the build says that it hangs.
CELL_SECONDS = 600

# Threads of every numeric library in a kernel: chapters run side by side, one a core,
# and sums come out the same on every machine.
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ONE_THREAD = dict.fromkeys(THREAD_LIMITS, "1")

# Run after a chapter's last cell, in its kernel.
ABOUT_THE_RUN = """
import json, time
from lib import runtime
print(json.dumps({"cpu_seconds": time.process_time(), "machine": runtime.describe()}))
"""


class ChapterError(CourseError):
    """A cell of a chapter raised; the text names page, line and traceback."""


@dataclasses.dataclass
class Chapter:
    """A page with code: what it holds, what it depends on, what is stored of it."""

    name: str
    path: Path
    notebook: nbformat.NotebookNode
    key: str
    record: NbCacheRecord | None = None

    @property
    def code(self) -> list:
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    def place(self, index: int) -> str:
        """Page and line of cell `index`."""
        line = self.notebook.metadata["source_map"][index] + 1
        return f"{self.path.relative_to(root())}:{line}"


@functools.cache
def _reader_settings() -> MdParserConfig:
    """MyST's settings as Jupyter Book will use them: both must read the same cells."""
    from jupyter_book.config import get_final_config

    settings, _ = get_final_config(
        user_yaml=root() / "_config.yml",
        sourcedir=root(),
        cli_config={"latex_individualpages": False},
    )
    return MdParserConfig(enable_extensions=set(settings["myst_enable_extensions"]))


def read_chapter(path: Path) -> Chapter | None:
    """The chapter in a MyST file, or None for a page without code cells.

    Raises:
        ChapterError: a code cell is not Python, or the chapter hides its exercises.
    """
    text = path.read_text(encoding="utf-8")
    reader = create_nb_reader(str(path), _reader_settings(), NbParserConfig(), text)
    if reader is None:
        return None
    notebook = reader.read(text)
    lesson = path.relative_to(root() / "book").with_suffix("").as_posix()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not code:
        return None
    cards = f"```{{exercises}} {lesson}\n"
    if lesson in paths.lessons() and cards not in text:
        raise ChapterError(f"{path}: does not show its exercises: {cards}```")
    try:
        key = chapter_key(lesson, code)
    except SyntaxError as error:
        raise ChapterError(f"{path}: a code cell is not Python: {error}") from None
    return Chapter(lesson, path, notebook, key)


def pages() -> list[Path]:
    """The pages that the table of contents names, in its order.

    Raises:
        CourseError: it names a page that is not there, or leaves a chapter out.
    """
    from sphinx_external_toc.parsing import parse_toc_yaml

    named = list(parse_toc_yaml(root() / "_toc.yml"))
    problems = [
        f"_toc.yml: there is no {name}.md"
        for name in named
        if not (root() / f"{name}.md").is_file()
    ]
    problems += [
        f"book/{name}.md: not in _toc.yml, so nobody would see it"
        for name in paths.chapters()
        if f"book/{name}" not in named
    ]
    if problems:
        raise CourseError("\n".join(problems))
    return [root() / f"{name}.md" for name in named]


def store():
    """The jupyter-cache that Jupyter Book uses."""
    return get_cache(str(root() / "_build" / ".jupyter_cache"))


def plan(cache) -> list[Chapter]:
    """Every chapter of the book; `record` is None where it must run.

    Records of another key are removed. Outputs of the same key under other cell
    metadata (an alt text, a tag that hides) are taken over, not executed again.
    """
    read = [read_chapter(path) for path in pages()]
    found = [chapter for chapter in read if chapter is not None]
    by_key = {}
    for record in cache.list_cache_records():
        if "course_key" in (record.data or {}):
            by_key[record.data["course_key"]] = record
    for chapter in found:
        try:
            record = cache.match_cache_notebook(chapter.notebook)
        except KeyError:
            record = None
        if record and (record.data or {}).get("course_key") == chapter.key:
            chapter.record = record
            continue
        if record:
            cache.remove_cache(record.pk)
        if chapter.key in by_key:
            _take_over(cache, chapter, by_key[chapter.key])
    return found


def _take_over(cache, chapter: Chapter, record: NbCacheRecord) -> None:
    """Store the outputs of `record` under the chapter as it now stands."""
    old = cache.get_cache_bundle(record.pk).nb.cells
    for cell, executed in zip(chapter.code, old, strict=True):
        cell.outputs = executed.outputs
        cell.execution_count = executed.execution_count
    cache.remove_cache(record.pk)
    keep(cache, chapter, record.data)


def keep(cache, chapter: Chapter, data: dict) -> None:
    """Store an executed chapter, with its key."""
    bundle = CacheBundleIn(
        chapter.notebook, str(chapter.path), data=data | {"course_key": chapter.key}
    )
    chapter.record = cache.cache_notebook_bundle(bundle, overwrite=True)


def stamp(cache, chapters: list[Chapter]) -> None:
    """Give records that plain Jupyter Book has just made the key they ran under."""
    for chapter in chapters:
        if chapter.record is not None:
            continue
        try:
            record = cache.match_cache_notebook(chapter.notebook)
        except KeyError:
            continue  # it raised: nothing was stored
        _, chapter.notebook = cache.merge_match_into_notebook(chapter.notebook)
        finished = record.created.isoformat(timespec="seconds")
        keep(cache, chapter, {"finished": finished} | (record.data or {}))


def execute(chapter: Chapter, after_cell: Callable[[], None]) -> dict:
    """Run a chapter in a kernel of its own, in place.

    Returns its wall and CPU seconds, the machine, and the time at which it finished.

    Raises:
        ChapterError: a cell raised, warned, hung or ended its kernel.
    """
    client = NotebookClient(
        chapter.notebook,
        timeout=CELL_SECONDS,
        resources={"metadata": {"path": str(chapter.path.parent)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        record_timing=False,  # it would go into cell metadata, which is hashed
    )
    start = time.monotonic()
    try:
        with client.setup_kernel(env=os.environ | ONE_THREAD):
            for index, cell in enumerate(chapter.notebook.cells):
                client.execute_cell(cell, index)
                _refuse(chapter, cell, index)
                after_cell()
            cells = chapter.notebook.cells
            cells.append(nbformat.v4.new_code_cell(ABOUT_THE_RUN))
            client.execute_cell(cells[-1], len(cells) - 1)
            about = cells.pop()
    except CellTimeoutError:
        raise ChapterError(
            f"{chapter.place(index)}: a cell ran for {CELL_SECONDS} s"
        ) from None
    except (CellExecutionError, DeadKernelError) as error:
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
        raise ChapterError(
            f"{chapter.place(index)}: this cell failed\n{text}"
        ) from None
    data = json.loads(about.outputs[0].text)
    return data | {
        "execution_seconds": time.monotonic() - start,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _refuse(chapter: Chapter, cell, index: int) -> None:
    """Stop at an output that a reader should not get: a warning, a mute figure."""
    described = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stderr":
            raise ChapterError(
                f"{chapter.place(index)}: this cell wrote to stderr; mend the cause, "
                f"or silence it in the cell and say why\n{output.text}"
            )
        image = any(kind.startswith("image/") for kind in output.get("data", {}))
        if image and not described:
            raise ChapterError(
                f"{chapter.place(index)}: this figure has no text alternative; "
                'put it into the cell: mystnb: {image: {alt: "..."}}'
            )


def execute_stale(chapters: list[Chapter], cache, jobs: int, progress) -> list[str]:
    """Run the chapters that have no record, `jobs` at a time; return what failed.

    A kernel is a process; the threads here only wait for theirs. What ran is stored
    as soon as it is done, so that a failure elsewhere loses nothing.
    """
    failures, lock = [], threading.Lock()

    def run(chapter: Chapter) -> None:
        data = execute(chapter, after_cell=progress.update)
        with lock:
            keep(cache, chapter, data)

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(run, chapter) for chapter in chapters]
        for future in as_completed(futures):
            if isinstance(future.exception(), ChapterError):
                failures.append(str(future.exception()))
            else:
                future.result()
    return failures


def write_executed(chapters: list[Chapter], cache) -> None:
    """The chapters with their outputs, as notebooks for nbval."""
    for chapter in chapters:
        _, notebook = cache.merge_match_into_notebook(chapter.notebook)
        notebook.metadata.pop("source_map", None)
        target = root() / "_build" / "executed" / f"{chapter.name}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target)
