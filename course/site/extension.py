"""The Sphinx extension of the book; plain `jupyter-book build .` loads it too."""

import json
import logging
import re
import zlib
from pathlib import Path

from docutils import nodes
from sphinx.util.logging import WarningLogRecordTranslator

from course.site import execution, exercises, formulas, map, numbers, search, theme
from course.site.parsing import GeneratedDirective

# A page that shows another page's glue, or the times of all pages.
SHOWS_OTHERS = re.compile(r"\.md::|^```\{page-runs\}", re.M)


class WarnedPages(logging.Handler):
    """Remembers which pages warned, for the next build.

    Sphinx forgets the warnings of pages it does not read again, so that a second run
    of a failed build would succeed.
    """

    def __init__(self, app):
        super().__init__(logging.WARNING)
        self.addFilter(WarningLogRecordTranslator(app))
        self.app = app
        self.file = Path(app.doctreedir) / "warned.json"
        self.pages = set()

    def emit(self, record):
        place = getattr(record, "location", None) or ""
        page = self.app.project.path2doc(re.sub(r":(\d+)?$", "", place))
        # A warning that names no page may come from any: read all again.
        self.pages |= {page} if page else self.app.env.found_docs

    def last_time(self) -> set[str]:
        if not self.file.is_file():
            return set()
        return set(json.loads(self.file.read_text(encoding="utf-8")))

    def write(self):
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(sorted(self.pages)), encoding="utf-8")


def docname(chapter) -> str:
    return f"book/{chapter.name}"


def before_reading(app):
    """Remove stale outputs from the store before MyST-NB can use them."""
    app.warned = WarnedPages(app)
    logging.getLogger("sphinx").addHandler(app.warned)
    cache = execution.store()
    app.chapters = {docname(chapter): chapter for chapter in execution.plan(cache)}


def outdated(app, env, added, changed, removed):
    """Pages to read again although their own source has not changed."""
    ran = {
        page: chapter.record.data["finished"] if chapter.record else None
        for page, chapter in app.chapters.items()
    }
    before = getattr(env, "course_ran", {})
    env.course_ran = ran
    fresh = {page for page in ran if ran[page] is None or ran[page] != before.get(page)}
    again = fresh | app.warned.last_time()
    if fresh:
        again |= {
            page
            for page in env.found_docs
            if SHOWS_OTHERS.search(Path(env.doc2path(page)).read_text("utf-8"))
        }
    return again & env.found_docs


def after_building(app, exception):
    """Keep what plain Jupyter Book executed, and which pages warned."""
    logging.getLogger("sphinx").removeHandler(app.warned)
    app.warned.write()
    execution.stamp(execution.store(), list(app.chapters.values()))


def ran_on(data: dict) -> str:
    """On what a page ran, when and for how long, in one line."""
    parts = [f"Executed {data['finished'][:10]}"]
    if "machine" in data:
        parts.append(f"on {data['machine']}")
    parts.append(f"in {data['execution_seconds']:.0f} s")
    if "cpu_seconds" in data:
        parts.append(f"({data['cpu_seconds']:.0f} s of CPU time)")
    return " ".join(parts) + "."


def add_footer(app, doctree):
    """The line at the foot of a chapter."""
    chapter = app.chapters.get(app.env.docname)
    if chapter is None or chapter.record is None:
        return
    text = ran_on(chapter.record.data)
    doctree += nodes.paragraph("", "", nodes.Text(text), classes=["ran-on"])


class PageRuns(GeneratedDirective):
    """```{page-runs}```: when each chapter ran, where, and for how long."""

    def run(self):
        rows = ["| page | executed (UTC) | CPU seconds | on |", "|---|---|---|---|"]
        for page, chapter in self.env.app.chapters.items():
            data = chapter.record.data if chapter.record else {}
            finished = data.get("finished", "in this build")[:16].replace("T", " ")
            seconds = data.get("cpu_seconds")
            rows.append(
                f"| {{doc}}`/{page}` | {finished} "
                f"| {'' if seconds is None else format(seconds, '.0f')} "
                f"| {data.get('machine', '')} |"
            )
        return self.parsed(rows)


def version() -> int:
    """Another number when anything here changes: Sphinx then makes every page anew."""
    files = sorted(Path(__file__).parent.rglob("*.*"))
    texts = [file.read_bytes() for file in files if file.suffix != ".pyc"]
    return zlib.crc32(b"".join(texts))


def setup(app):
    """Register everything the book's pages use."""
    exercises.setup(app)
    formulas.setup(app)
    map.setup(app)
    numbers.setup(app)
    search.setup(app)
    theme.setup(app)
    app.add_directive("page-runs", PageRuns)
    app.connect("builder-inited", before_reading)
    app.connect("env-get-outdated", outdated)
    app.connect("doctree-read", add_footer)
    app.connect("build-finished", after_building)
    app.config.html_static_path.append(str(theme.STATIC))
    return {
        "version": "1",
        "env_version": version(),
        "parallel_read_safe": False,
        "parallel_write_safe": False,
    }
