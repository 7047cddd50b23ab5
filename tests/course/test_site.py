"""The site: what executes when, what fails, and that no page needs the network.

The book in `minibook` is small; every test works on a copy of it that was built once.
"""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course.paths import root

MINIBOOK = Path(__file__).parent / "minibook"


class Book:
    """A copy of the small book, and the commands run in it."""

    def __init__(self, folder: Path):
        self.folder = folder

    def run(self, *command: str) -> subprocess.CompletedProcess:
        env = os.environ | {"PYTHONPATH": str(self.folder)}
        return subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True
        )

    def build(self) -> subprocess.CompletedProcess:
        return self.run(sys.executable, "-m", "course.cli", "build", "--jobs", "2")

    def plain(self, *options: str) -> subprocess.CompletedProcess:
        program = Path(sys.executable).with_name("jupyter-book")
        return self.run(str(program), "build", ".", *options)

    def executed(self) -> list[str]:
        """The chapters executed since the last call, sorted."""
        log = self.folder / "executed.log"
        names = sorted(log.read_text().split()) if log.exists() else []
        log.unlink(missing_ok=True)
        return names

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def page(self, name: str) -> str:
        path = self.folder / "_build" / "html" / "book" / f"{name}.html"
        return path.read_text(encoding="utf-8")


def succeeded(process: subprocess.CompletedProcess) -> bool:
    if process.returncode:
        print(process.stdout, process.stderr)
    return process.returncode == 0


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "book"
    shutil.copytree(MINIBOOK, folder)
    shutil.copy(root() / "lib" / "reach.py", folder / "lib")
    # The course's own configuration, without the bibliography that this book has not.
    settings = (root() / "_config.yml").read_text("utf-8")
    settings = re.sub("(?m)^.*bibtex.*\n", "", settings)
    (folder / "_config.yml").write_text(settings, "utf-8")
    shutil.copy(root() / "nbgrader_config.py", folder)
    book = Book(folder)
    assert succeeded(book.run(sys.executable, "-m", "course.cli", "assign"))
    assert succeeded(book.build())
    assert book.executed() == ["first", "second"]
    return folder


@pytest.fixture
def book(built, tmp_path) -> Book:
    shutil.copytree(built, tmp_path / "book")
    return Book(tmp_path / "book")


def test_prose_executes_nothing_and_is_shown(book):
    book.edit("book/part/first.md", "Some prose", "Other prose")
    assert succeeded(book.build())
    assert book.executed() == []
    assert "Other prose" in book.page("part/first")


def test_a_lib_module_executes_the_chapters_that_reach_it(book):
    book.edit("lib/part/first.py", "double(21)", "double(22)")
    assert succeeded(book.build())
    assert book.executed() == ["first"]
    book.edit("lib/shared.py", "Twice x.", "Two times x.")  # imported in a function
    assert succeeded(book.build())
    assert book.executed() == ["first", "second"]


def test_a_changed_number_reaches_the_pages_that_show_it(book):
    book.edit("lib/part/first.py", "double(21)", "double(500)")
    assert succeeded(book.build())
    assert "1000" in book.page("part/first")
    assert "1000" in book.page("results")


def test_the_same_after_plain_jupyter_book(book):
    book.edit("lib/part/first.py", "double(21)", "double(500)")
    assert succeeded(book.plain())
    assert book.executed() == ["first"]
    assert "1000" in book.page("results")
    assert succeeded(book.build())
    assert book.executed() == []


def test_how_a_cell_looks_executes_nothing(book):
    book.edit("book/part/first.md", ":tags: [hide-cell]", ":tags: [hide-input]")
    assert succeeded(book.build())
    assert book.executed() == []
    assert "tag_hide-input" in book.page("part/first")


def test_a_data_file_executes_the_chapters_that_read_it(book):
    data = book.folder / "lib" / "data"
    data.mkdir()
    (data / "numbers.txt").write_text("1")
    book.edit("lib/part/first.py", "VALUE", 'DATA = "numbers.txt"\nVALUE')
    assert succeeded(book.build())
    assert book.executed() == ["first"]
    (data / "numbers.txt").write_text("2")
    assert succeeded(book.build())
    assert book.executed() == ["first"]


@pytest.fixture
def broken(book) -> Book:
    book.edit("book/part/first.md", "glue(", "1 / 0\nglue(")
    return book


def test_a_cell_that_raises_fails_the_build_with_its_place(broken):
    broken.edit("lib/shared.py", "Twice x.", "Two times x.")
    process = broken.build()
    assert process.returncode == 1
    assert re.search(r"book/part/first\.md:\d+: this cell failed", process.stderr)
    assert "ZeroDivisionError" in process.stderr
    assert "----> " in process.stderr or "1 / 0" in process.stderr
    assert broken.executed() == ["first", "second"]
    assert broken.build().returncode == 1
    assert broken.executed() == ["first"], "what ran without error is kept"


def test_a_cell_that_raises_fails_plain_jupyter_book(broken):
    assert broken.plain().returncode != 0


def test_a_broken_reference_fails_every_time_until_it_is_mended(book):
    book.edit("book/part/second.md", "{eq}`eq-second`", "{eq}`eq-nowhere`")
    for _ in range(2):
        process = book.build()
        assert process.returncode == 1
        assert "eq-nowhere" in process.stderr
    book.edit("book/part/second.md", "{eq}`eq-nowhere`", "{eq}`eq-second`")
    assert succeeded(book.build())


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("$a^2 + b^2$", r"$\nosuchcommand$", r"\nosuchcommand"),
        (
            "glue(",
            'import warnings\n\nwarnings.warn("old", stacklevel=1)\nglue(',
            "old",
        ),
        ("from lib", "from from lib", "first.md"),
    ],
    ids=["formula", "Python warning", "syntax error"],
)
def test_what_a_reader_should_not_see_fails_the_build(book, old, new, named):
    book.edit("book/part/first.md", old, new)
    process = book.build()
    assert process.returncode == 1
    assert named in process.stderr


def test_a_chapter_that_nobody_would_see_fails_the_build(book):
    book.edit("_toc.yml", "  - file: book/part/second\n", "  - file: book/part/third\n")
    process = book.build()
    assert process.returncode == 1
    assert "_toc.yml: there is no book/part/third.md" in process.stderr
    assert "book/part/second.md: not in _toc.yml" in process.stderr


def test_a_chapter_that_hides_its_exercises_fails_the_build(book):
    book.edit("book/part/first.md", "```{exercises} part/first\n```", "")
    process = book.build()
    assert process.returncode == 1
    assert "does not show its exercises" in process.stderr


FIGURE = """from IPython.display import SVG, display

display(SVG("<svg xmlns='http://www.w3.org/2000/svg'/>"))
"""


def test_a_figure_without_a_text_alternative_fails_the_build(book):
    book.edit("book/part/second.md", "value = later()\n", "value = later()\n" + FIGURE)
    process = book.build()
    assert process.returncode == 1
    assert "this figure has no text alternative" in process.stderr
    book.edit(
        "book/part/second.md",
        ":tags: [hide-cell]",
        '---\ntags: [hide-cell]\nmystnb: {image: {alt: "Nothing."}}\n---',
    )
    assert succeeded(book.build())


def test_no_page_asks_the_network_for_anything(book):
    outside = re.compile(
        r"""(src|href)=["']?https?:[^"' >]*\.(js|css|woff2?)|unpkg|cdn"""
    )
    for page in (book.folder / "_build" / "html").rglob("*.html"):
        assert not outside.search(page.read_text(encoding="utf-8")), page.name


def test_formulas_are_in_the_page_before_any_script_runs(book):
    page = book.page("part/first")
    assert page.count('class="katex-mathml"') == 2
    assert "MathJax" not in page


def test_a_page_says_when_and_where_it_ran(book):
    footer = r'class="ran-on">Executed \d{4}-\d\d-\d\d on a machine for tests in \d+ s'
    assert re.search(footer, book.page("part/first"))


def test_exercises_are_cards_with_the_points_of_their_source(book):
    page = book.page("part/first")
    assert "1 · Twice a number" in page
    assert "3 points · about 5 minutes · CPU" in page
    book.edit("solutions/part/first.py", "points=3", "points=4")
    assert succeeded(book.build())
    assert book.executed() == []
    assert "4 points" in book.page("part/first")


def test_nothing_that_the_public_gets_holds_an_answer(book):
    public = [book.folder / "_build" / "html", book.folder / "exercises"]
    files = [path for folder in public for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "search-index.js" for path in files)
    assert any("_sources" in path.parts for path in files)
    assert any("_downloads" in path.parts for path in files)
    for path in files:
        assert b"canary" not in path.read_bytes(), path
    staff = book.folder / "_build" / "nbgrader" / "source" / "part" / "first.ipynb"
    assert b"canary_in_a_hidden_test" in staff.read_bytes(), "the canaries are there"


def test_executed_chapters_are_kept_as_notebooks(book):
    names = sorted(
        path.name for path in (book.folder / "_build/executed/part").iterdir()
    )
    assert names == ["first.ipynb", "second.ipynb"]


@pytest.fixture
def visit(chromium):
    """Open a page from disk and run a script in it; the fonts that the page loaded,
    what it asked of the network, and what the script wrote into
    `document.body.dataset`, as words."""

    def visit(page: Path, script: str = "") -> dict[str, list[str]]:
        tab, outside = chromium.new_page(), []
        tab.on(
            "request",
            lambda request: (
                request.url.startswith(("file:", "data:"))
                or outside.append(request.url)
            ),
        )
        tab.goto(page.as_uri())
        if tab.locator("figure").count():
            tab.locator("figure input").first.wait_for()
        tab.evaluate(script)
        tab.wait_for_load_state("networkidle")
        fonts = (
            "[...document.fonts].filter(f => f.status == 'loaded').map(f => f.family)"
        )
        seen = tab.evaluate("({...document.body.dataset})")
        found = {name: text.split() for name, text in seen.items()}
        found |= {"fonts": tab.evaluate(fonts), "outside": outside}
        tab.close()
        return found

    return visit


def test_a_page_opened_from_disk_asks_for_local_files_only(book, visit):
    page = book.folder / "_build" / "html" / "book" / "part" / "first.html"
    seen = visit(page)
    assert "KaTeX_Main" in seen["fonts"]
    assert seen["outside"] == []
    seen = visit(page, "new Image().src = 'http://example.invalid/x.png'")
    assert seen["outside"] == ["http://example.invalid/x.png"], "it would be seen"


LESSONS = """
part/first: {name: one, says: what comes first}
part/second: {name: two, says: "what < follows", needs: [part/first]}
"""


@pytest.fixture
def mapped(book) -> Book:
    (book.folder / "book" / "lessons.yml").write_text(LESSONS, "utf-8")
    book.edit("book/index.md", "{doc}`results`.", "x\n\n```{course-map}\n```")
    toc = "  - file: book/part/first\n  - file: book/part/second\n"
    book.edit("_toc.yml", f"chapters:\n  - file: book/how_to_use\n{toc}", "parts:\n")
    book.edit("_toc.yml", "  - file: book/results\n", "")
    with (book.folder / "_toc.yml").open("a") as file:
        file.write("  - caption: The part\n    chapters:\n")
        for name in ("part/first", "part/second"):
            file.write(f"      - file: book/{name}\n")
        file.write("  - caption: The rest\n    chapters:\n")
        for name in ("how_to_use", "results"):
            file.write(f"      - file: book/{name}\n")
    return book


def test_the_map_and_a_chapter_say_what_a_lesson_builds_on(mapped):
    assert succeeded(mapped.build())
    front = mapped.page("index")
    assert front.count('<path class="needs"') == 1
    assert 'href="part/second.html"' in front
    assert "what &lt; follows" in front
    place = 'The part · lesson 2 of 2 · builds on <a href="first.html">The first'
    assert place in mapped.page("part/second")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("part/first: {name: one, says: what comes first}", "", "part/first must have"),
        ("says: what comes", "tells: what comes", "part/first must have"),
        ("first}", "first, needs: [part/second]}", "does not come before it"),
        ("part/first:", "part/third: {name: a, says: b}\npart/first:", "part/third is"),
    ],
    ids=["left out", "unknown key", "needs what comes later", "no such lesson"],
)
def test_a_list_of_lessons_that_does_not_hold_fails_the_build(mapped, old, new, named):
    mapped.edit("book/lessons.yml", old, new)
    process = mapped.build()
    assert process.returncode == 1
    assert f"book/lessons.yml: {named}" in process.stderr or named in process.stderr


def test_an_exercise_has_a_page_below_its_chapter(book):
    path = book.folder / "_build" / "html" / "exercises" / "part" / "first.html"
    page = path.read_text("utf-8")
    assert "Visible tests (3 points)" in page
    assert "raise NotImplementedError" in page.replace("</span>", "").replace(
        '<span class="k">', ""
    )
    assert 'Chapter: <a href="../../book/part/first.html">' in page
    assert "../../exercises/part/first.html" in book.page("part/first")


def test_a_repository_gives_pages_links_to_it(book):
    assert "github" not in book.page("part/first")
    book.edit("_config.yml", 'url: ""', 'url: "https://github.com/some/book"')
    hub = "launch_buttons:\n  binderhub_url: https://hub.example"
    book.edit("_config.yml", "launch_buttons:", hub)
    assert succeeded(book.build())
    here = "https://github.com/some/book"
    assert f'{here}/blob/main/book/part/first.md"' in book.page("part/first")
    assert f"{here}/issues/new?title=book/part/first" in book.page("part/first")
    exercise = book.folder / "_build" / "html" / "exercises" / "part" / "first.html"
    launch = "https://hub.example/v2/gh/some/book/main?urlpath=lab/tree/exercises/part"
    assert launch in exercise.read_text("utf-8")
    assert "hub.example" not in book.page("part/first")


EXPLORER = """from lib import interactive
from lib.shared import double

interactive.explore(
    lambda times, plus: {"doubled": [double(times * x) + len(plus) for x in (1, 2, 4)]},
    {"times": [10, 1_000, 30], "plus": ["", "a"]},
    x=[1, 2, 4], xlabel="x", ylabel="twice",
    alt="Three points < on a line.",
)
"""

# Chooses the second of everything and the third x, as a hand does.
MOVE = """() => {
  const figure = document.querySelector("figure.explore");
  const [times, at] = figure.querySelectorAll("input[type=range]");
  for (const [slider, value] of [[times, 1], [at, 2]]) {
    slider.value = value;
    slider.dispatchEvent(new Event("input"));
  }
  figure.querySelectorAll("input[type=radio]")[1].click();
  const shown = [...figure.querySelectorAll("b")].map(node => node.textContent);
  document.body.dataset.shown = shown.join(" ");
  document.body.dataset.heard = times.getAttribute("aria-valuetext");
  document.body.dataset.drawn = figure.querySelectorAll("svg path").length;
  document.body.dataset.alt = figure.querySelector("svg").getAttribute("aria-label");
}"""


def with_figure(book: Book, source: str, *modules: str) -> Book:
    """The small book with one more cell in its second chapter."""
    for module in ("figures", "interactive", *modules):
        shutil.copy(root() / "lib" / f"{module}.py", book.folder / "lib")
    cell = f"```{{code-cell}}\n{source}```\n\n"
    book.edit("book/part/second.md", "The value is", cell + "The value is")
    return book


@pytest.fixture
def moving(book) -> Book:
    return with_figure(book, EXPLORER)


def test_a_figure_with_sliders_shows_what_lib_computed(moving, visit):
    assert succeeded(moving.build())
    page = moving.folder / "_build" / "html" / "book" / "part" / "second.html"
    seen = visit(page, MOVE)
    assert seen["outside"] == []
    lib = runpy.run_path(moving.folder / "lib" / "shared.py")
    number = f"{lib['double'](1_000 * 4) + 1:,}"
    assert seen["shown"] == [number, "1,000", "4"]
    assert " ".join(seen["heard"]) == f"1,000; x 4: doubled {number}"
    assert " ".join(seen["alt"]) == "Three points < on a line."
    assert int(seen["drawn"][0]) > 3
    executed = moving.folder / "_build" / "executed" / "part" / "second.ipynb"
    assert "image/svg+xml" in executed.read_text("utf-8"), "a notebook shows a picture"


def test_a_figure_with_sliders_needs_a_text_alternative(moving):
    moving.edit("book/part/second.md", "Three points < on a line.", "")
    process = moving.build()
    assert process.returncode == 1
    assert "alt must say what the figure shows" in process.stderr


STEPPER = """from lib import stepping
from lib.shared import double


def frames(sign):
    values, made = [0.0, 0.0, 0.0, float("nan")], []
    for k in range(4):
        actions, been = [0, 1, 2, 4], [[0], [0, 1], [0, 1, 2], [0, 3]][k]
        frame = stepping.Frame(values, f"{sign}<{k}.", actions, at=k, path=been)
        made.append(frame)
        values[k] = sign * double(k + 1) / 8
    return made


runs = {"rising": frames(1), "falling": frames(-1)}
stepping.stepper(runs, (2, 2), alt="Four < cells.", forbidden=[2], target=[3])
"""

# Goes through a run and back, changes the run, jumps; then plays, and looks meanwhile
# and afterwards. A frame is written down as values:sentence:cells
# marked:place of the agent:number of places on its path.
FOLLOW = """() => {
  const seen = document.body.dataset;
  const figure = document.querySelector("figure.stepper");
  const all = (what) => [...figure.querySelectorAll(what)];
  const press = (name) => all("button").find(node => node.textContent === name).click();
  const look = () => {
    const cells = all(".stepper-grid g:has(.stepper-policy)");
    const agent = cells.findIndex(cell => cell.querySelector(".stepper-agent"));
    const marked = (cell) => cell.querySelector(".stepper-marked");
    const marks = cells.flatMap((cell, s) => (marked(cell) ? s : []));
    const values = all(".stepper-grid text").map(node => node.textContent);
    const says = figure.querySelector("p").textContent;
    const line = figure.querySelector(".stepper-grid .stepper-path");
    const been = line ? line.getAttribute("d").split("L").length : 1;
    return [values.join(), says, marks.join(), agent, been].join(":");
  };
  const after = (name) => (press(name), look());
  const tell = (frames) => frames.join(" ");
  const step = all("button").find(node => node.textContent === "step");
  step.focus();
  const first = look();
  const forth = [1, 2, 3, 4].map(() => after("step"));
  seen.forth = tell([first, ...forth]);
  seen.focus = document.activeElement.textContent;
  seen.off = step.getAttribute("aria-disabled");
  seen.back = tell([after("back"), after("back")]);
  all("input[type=radio]")[1].click();
  seen.run = look();
  seen.jumps = tell([after("last"), after("first"), after("back")]);
  const slider = figure.querySelector("input[type=range]");
  slider.value = 2;
  slider.dispatchEvent(new Event("input"));
  seen.slid = look();
  seen.heard = slider.getAttribute("aria-valuetext");
  seen.tabs = all("button, input").map(node => node.tabIndex).join("");
  seen.alt = figure.querySelector("svg").getAttribute("aria-label");
  const width = (node) => node.getBoundingClientRect().width;
  seen.hidden = all("img, figcaption").map(width).join();
  press("first");
  press("play");
  const live = () => figure.querySelector("p").getAttribute("aria-live");
  seen.playing = live();
  return new Promise((done) => {
    const watch = setInterval(() => {
      if (live() === "off") return;
      clearInterval(watch);
      seen.played = look();
      done();
    }, 50);
  });
}"""


def test_a_run_is_stepped_through_as_lib_computed_it(book, visit):
    with_figure(book, STEPPER, "grids", "stepping")
    assert succeeded(book.build())
    page = book.folder / "_build" / "html" / "book" / "part" / "second.html"
    seen = visit(page, FOLLOW)
    assert seen["outside"] == []

    double = runpy.run_path(book.folder / "lib" / "shared.py")["double"]

    def frame(sign, k):
        values = [sign * double(s + 1) / 8 if s < k else 0 for s in range(3)]
        shown = [f"{value:.2f}".replace("-", "−") for value in values]
        mark = k - 1 if k else ""
        been = [1, 2, 3, 2][k]
        return f"{','.join(shown)},:{sign}<{k}.:{mark}:{k}:{been}"

    rising, falling = ([frame(sign, k) for k in range(4)] for sign in (1, -1))
    assert seen["forth"] == [*rising, rising[3]], "and no further than the end"
    assert (seen["focus"], seen["off"]) == (["step"], ["true"])
    assert seen["back"] == [rising[2], rising[1]]
    assert seen["run"] == [falling[1]]
    assert seen["jumps"] == [falling[3], falling[0], falling[0]]
    assert seen["slid"] == [falling[2]]
    assert " ".join(seen["heard"]) == "2 of 3"
    assert seen["tabs"] == ["0" * 8], "the keyboard reaches everything"
    assert " ".join(seen["alt"]) == "Four < cells."
    assert seen["hidden"] == ["0,0"]
    assert seen["playing"] == ["off"], "nothing is read aloud while it plays"
    assert seen["played"] == [falling[3]]
    executed = book.folder / "_build" / "executed" / "part" / "second.ipynb"
    assert "image/svg+xml" in executed.read_text("utf-8"), "a notebook shows a picture"
