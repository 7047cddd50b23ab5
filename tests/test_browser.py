"""The built site in a browser: every page from disk, and what a page does.

Reads `_build/html`, as `course build` leaves it. Where it matters that a host serves
the pages, one on this machine does.
"""

import functools
import gzip
import http.server
import re
import threading
from pathlib import Path

import pytest

from course.paths import chapters, lessons, root

SITE = root() / "_build" / "html"
DISK = SITE.as_uri()
FOUND = sorted(
    path.relative_to(SITE).as_posix()
    for folder in ("book", "exercises")
    for path in (SITE / folder).rglob("*.html")
)
# A page of each kind, and chapters with each kind of figure.
KINDS = [
    "book/index.html",
    "book/results.html",
    "book/bibliography.html",
    "book/positional_encoding/rotary.html",
    "book/reinforcement_learning/temporal_difference.html",
    "exercises/positional_encoding/rotary.html",
]
PHONE = {"width": 360, "height": 740}
LAPTOP = {"width": 1280, "height": 800}


@pytest.fixture
def opened(chromium):
    """Open a page of the site, from disk unless `base` says otherwise. Whatever it
    complains about, or asks of the network, fails the test in the end."""
    troubles, contexts = [], []

    def complain(what):
        troubles.append(what)

    def visit(path, *, base=DISK, viewport=LAPTOP, **settings):
        contexts.append(chromium.new_context(viewport=viewport, **settings))
        page = contexts[-1].new_page()
        page.on(
            "console", lambda m: m.type in ("error", "warning") and complain(m.text)
        )
        page.on("pageerror", lambda error: complain(str(error)))
        page.on(
            "requestfailed",
            lambda request: (
                # A page that is left no longer wants what it asked for.
                request.failure == "net::ERR_ABORTED"
                or complain(f"failed: {request.url}: {request.failure}")
            ),
        )
        page.on(
            "response",
            lambda answer: (
                answer.status >= 400 and complain(f"{answer.status}: {answer.url}")
            ),
        )
        page.on(
            "request",
            lambda request: (
                request.url.startswith((base, "data:"))
                or complain(f"asked for {request.url}")
            ),
        )
        page.goto(f"{base}/{path}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture(scope="module")
def host():
    """The address of a host that answers with 404.html where there is nothing."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def send_error(self, code, *_):
            text = (SITE / "404.html").read_bytes()
            self.send_response(200 if code == 404 else code)
            self.end_headers()
            self.wfile.write(text)

    handler = functools.partial(Handler, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_chapter_and_exercise_has_a_page():
    for lesson in chapters():
        assert f"book/{lesson}.html" in FOUND
    for lesson in lessons():
        assert f"exercises/{lesson}.html" in FOUND


def scroll_through(page) -> None:
    """Down to the end, so that all that waits until it is near comes."""
    page.evaluate("""async () => {
      for (let y = 0; y < document.body.scrollHeight; y += 700) {
        scrollTo(0, y);
        await new Promise((done) => setTimeout(done, 20));
      }
      // One that was passed too fast, on a busy machine, waits still; and what is laid
      // out late may push it away again.
      for (const image of document.images)
        for (let tries = 0; !image.complete && tries < 200; tries++) {
          image.scrollIntoView({behavior: "instant"});
          await new Promise((done) => setTimeout(done, 50));
        }
      scrollTo(0, document.body.scrollHeight);
    }""")
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("path", FOUND)
def test_a_page_opens_from_disk_and_fits_a_phone(path, opened):
    page = opened(path, viewport=PHONE)
    scroll_through(page)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) <= 0, "wider than the screen"
    if page.locator(".katex").count():
        loaded = 'document.fonts.check("16px KaTeX_Main")'
        page.wait_for_function(loaded, polling=100)
    broken = "[...document.images].filter(image => !image.naturalWidth).map(i => i.src)"
    complete = "[...document.images].every(image => image.complete)"
    page.wait_for_function(complete, polling=100)
    assert page.evaluate(broken) == []


# Every page in one theme; in the other, on a phone, a page of each kind.
SEEN = [(path, "light", LAPTOP) for path in FOUND]
SEEN += [(path, "dark", PHONE) for path in KINDS]


@pytest.mark.parametrize(
    ("path", "scheme", "viewport"),
    [pytest.param(*seen, id=f"{seen[1]}-{seen[0]}") for seen in SEEN],
)
def test_a_page_is_accessible(path, scheme, viewport, opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(path, viewport=viewport, color_scheme=scheme)
    if path in KINDS:
        scroll_through(page)
    # As if all were near: what is laid out late is seen by axe before the page knows.
    page.add_style_tag(content="section { content-visibility: visible !important }")
    page.wait_for_timeout(200)
    # What is seen of a formula is hidden from screen readers, which read its MathML; it
    # has the colours of the text, and axe would need half a minute for it.
    page.evaluate("document.querySelectorAll('.katex-html').forEach(n => n.remove())")
    options = {"preload": False, "resultTypes": ["violations"]}
    found = axe.Axe().run(page, options=options).response["violations"]
    serious = [
        f"{each['id']}: {node['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
    assert serious == []


def come_to(page, figure) -> None:
    """Scroll to a figure, and wait until it can be moved. What is above it may get its
    real height only then, so once is not enough."""
    slider = figure.locator("input[type=range]").first
    for _ in range(50):
        figure.evaluate("node => node.scrollIntoView()")
        page.wait_for_timeout(100)
        if slider.count():
            return
    raise AssertionError("the figure never came")


WITH_FIGURES = [
    path
    for path in FOUND
    if re.search('<figure class="(explore|stepper)"', (SITE / path).read_text("utf-8"))
]


@pytest.mark.parametrize("path", WITH_FIGURES)
def test_every_figure_that_moves_answers_its_slider(path, opened):
    page = opened(path)
    for figure in page.locator("figure:is(.explore, .stepper)").all():
        come_to(page, figure)
        for slider in figure.locator("input[type=range]").all():
            seen = set()
            for key in ("Home", "End"):
                slider.press(key)
                seen.add(figure.inner_text() + figure.locator("svg").first.inner_html())
            if len(seen) > 1:
                break
        assert len(seen) == 2


def test_the_front_page_has_a_figure_that_moves():
    assert "book/index.html" in WITH_FIGURES


def test_scripts_of_figures_come_only_where_one_is_near(opened):
    page = opened("book/positional_encoding/rotary.html")
    page.wait_for_load_state("networkidle")
    scripts = "[...document.scripts].map(script => script.src.match(/[^/]*.js|$/)[0])"
    assert "explore.js" not in page.evaluate(scripts)
    come_to(page, page.locator("figure.explore").first)
    assert "explore.js" in page.evaluate(scripts)


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("RoPE", "positional_encoding/rotary.html"),
        ("旋转", "book/glossary.html#term"),
        ("旋转式位置编码", "positional_encoding/rotary.html"),
        ("RoPE zyzzyva", ""),
        ("score matching langevin", "diffusion_to_edm/score_matching.html"),
    ],
)
@pytest.mark.parametrize("served", [False, True], ids=["disk", "host"])
def test_the_search_finds(words, target, served, opened, host):
    page = opened("book/glossary.html", base=host if served else DISK)
    page.keyboard.press("Control+k")
    page.locator("#finder input").fill(words)
    page.wait_for_function(
        "!['', 'Loading …'].includes(document.querySelector('#finder p').textContent)"
    )
    links = page.eval_on_selector_all("#finder li a", "all => all.map(a => a.href)")
    if not target:
        assert links == []
        return
    assert any(target in link for link in links), links
    assert words.split()[0] in page.locator("#finder mark").first.inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url == links[0])
    anchor = links[0].partition("#")[2]
    assert not anchor or page.locator(f'[id="{anchor}"]').count() == 1


def test_the_search_leads_to_places_that_exist():
    text = (SITE / "_static" / "search-index.js").read_text("utf-8")
    places = set(re.findall(r'\["[^"]*","([\w/]+)","([^"]*)"', text))
    assert len({page for page, _ in places}) >= len(FOUND) - 1
    for path, anchor in places:
        page = (SITE / f"{path}.html").read_text("utf-8")
        assert not anchor or f'id="{anchor}"' in page, (path, anchor)


def test_the_theme_is_switched_and_remembered(opened, host):
    page = opened("book/index.html", base=host, color_scheme="light")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    button = page.get_by_role("button", name="Theme")
    button.click()  # light
    assert page.evaluate(colour) == light
    button.click()  # dark
    assert page.evaluate(colour) != light
    dark = page.evaluate(colour)
    page.goto(f"{host}/book/positional_encoding/rotary.html")
    assert page.evaluate(colour) == dark
    assert page.get_by_role("button", name="Theme: dark").count() == 1


def test_the_keyboard_reaches_everything(opened):
    page = opened("exercises/positional_encoding/rotary.html")
    # Everything that answers to a pointer and is on the page now.
    wanted = page.evaluate("""() => {
      const all = document.querySelectorAll("a[href], button, summary, input, select");
      const seen = [...all].filter((node) => node.checkVisibility());
      seen.forEach((node, i) => (node.dataset.stop = i));
      return seen.length;
    }""")
    reached, outlined = set(), True
    for k in range(wanted + 40):
        page.keyboard.press("Tab")
        stop, width = page.evaluate("""() => {
          const node = document.activeElement;
          return [node.dataset.stop, getComputedStyle(node).outlineWidth];
        }""")
        if k == 0:
            assert page.evaluate("document.activeElement.className") == "skip"
        if stop is not None:
            reached.add(stop)
            outlined = outlined and width != "0px"
    assert len(reached) == wanted > 40
    assert outlined, "where the focus is can be seen"


def test_the_contents_open_on_a_phone_and_close_by_escape(opened):
    page = opened("book/positional_encoding/rotary.html", viewport=PHONE)
    contents = page.get_by_role("navigation", name="Book")
    assert not contents.is_visible()
    page.get_by_role("button", name="Contents").press("Enter")
    here = contents.get_by_role("link", name="Rotary position embedding")
    assert here.is_visible()
    assert here.get_attribute("aria-current") == "page"
    here.focus()
    page.keyboard.press("Escape")
    assert not contents.is_visible()
    assert page.evaluate("document.activeElement.id") == "menu"


def test_arrows_turn_the_page_but_not_while_something_else_has_the_focus(opened):
    page = opened("book/positional_encoding/rotary.html")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/exercises/positional_encoding/rotary.html")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/book/positional_encoding/rotary.html")
    slider = page.locator("figure.explore input[type=range]").first
    come_to(page, page.locator("figure.explore").first)
    slider.press("ArrowRight")
    assert page.url.endswith("book/positional_encoding/rotary.html")


def test_code_is_copied_at_a_press(opened, host):
    page = opened(
        "exercises/positional_encoding/rotary.html",
        base=host,
        permissions=["clipboard-read", "clipboard-write"],
    )
    block = page.locator(".highlight:has(> .copy)").first
    block.hover()
    block.get_by_role("button", name="Copy").click()
    block.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.splitlines()[0] == "course start positional_encoding/rotary"
    assert "Copy" not in copied


def test_a_number_in_the_results_leads_to_the_cell_that_made_it(opened):
    page = opened("book/results.html")
    numbers = page.locator("td a:has(> .pasted-text)")
    assert numbers.count() > 100
    targets = {}
    for link in numbers.evaluate_all("all => all.map(a => a.getAttribute('href'))"):
        file, _, anchor = link.partition("#")
        targets.setdefault(file, set()).add(anchor)
    folded = []
    for file, anchors in targets.items():
        text = (SITE / "book" / file).read_text("utf-8")
        assert {anchor for anchor in anchors if f'id="{anchor}"' not in text} == set()
        heads = re.findall('(?s)<div class="cell tag_hide-.*?<details', text)
        inside = re.findall('id="(number-[^"]*)"', "".join(heads))
        folded += [f"{file}#{anchor}" for anchor in inside if anchor in anchors]
    page.locator(f'td a[href="{folded[-1]}"]').first.click()
    page.wait_for_load_state()
    cell = page.locator(".cell:is(:target, :has(> :target))")
    assert cell.count() == 1
    assert cell.locator("pre").first.is_visible(), "a folded cell opens"
    page.wait_for_timeout(500)
    top = cell.evaluate("node => node.getBoundingClientRect().top")
    assert 0 <= top < LAPTOP["height"] / 2, "it is what one sees"


def test_a_page_reads_without_scripts(opened):
    page = opened(
        "book/positional_encoding/rotary.html",
        viewport=PHONE,
        java_script_enabled=False,
    )
    assert page.locator(".katex-html").first.is_visible()
    picture = page.locator("figure.explore img").first
    assert picture.is_visible()
    assert page.get_by_role("button", name="Search").count() == 0
    assert page.get_by_role("navigation", name="Book").is_visible()


def test_print_has_the_text_alone(opened):
    page = opened("book/positional_encoding/rotary.html", color_scheme="dark")
    page.emulate_media(media="print")
    hidden = "header, nav, footer, .copy, .headerlink, .figure-controls"
    shown = page.locator(hidden).evaluate_all(
        "all => all.filter(node => node.checkVisibility()).length"
    )
    assert shown == 0
    assert page.locator("article h1").is_visible()


def test_an_address_without_a_page_gets_one_that_leads_back(opened, host):
    page = opened("book/nowhere/at_all.html", base=host)
    assert page.locator("h1").inner_text() == "There is no such page"
    height = page.locator(".top").evaluate("node => node.offsetHeight")
    assert height < 80, "it has its style"
    page.get_by_role("link", name="The front page").click()
    page.wait_for_url(f"{host}/book/index.html")


def test_hints_and_tests_of_an_exercise_are_folded_and_open(opened):
    page = opened("exercises/positional_encoding/rotary.html")
    hint = page.locator("details", has_text="Hint 1").first
    assert not hint.locator("code, :text('Separate')").first.is_visible()
    hint.locator("summary").press("Enter")
    assert hint.evaluate("node => node.open")
    tests = page.locator("details.hide").first
    assert "Visible tests (2 points)" in tests.inner_text()
    assert not tests.locator("pre").is_visible()
    tests.locator("summary").click()
    assert "check.close(" in tests.locator("pre").inner_text()


def test_an_exercise_is_downloaded_as_it_was_released(opened, host, tmp_path):
    page = opened("exercises/positional_encoding/rotary.html", base=host)
    with page.expect_download() as download:
        page.get_by_role("link", name="notebook alone").click()
    download.value.save_as(tmp_path / "rotary.ipynb")
    released = root() / "exercises" / "positional_encoding" / "rotary.ipynb"
    assert (tmp_path / "rotary.ipynb").read_bytes() == released.read_bytes()


def test_the_map_draws_every_lesson_and_every_line_goes_forward(opened):
    page = opened("book/index.html")
    drawn = page.locator(".map a").evaluate_all(
        "all => all.map(a => a.getAttribute('href').replace('.html', ''))"
    )
    assert sorted(drawn) == chapters()
    assert page.locator(".map path.needs").count() >= len(chapters()) // 2


@pytest.mark.parametrize("path", [f"book/{lesson}.html" for lesson in chapters()])
def test_a_chapter_weighs_less_than_it_may(path):
    """What must come before a page is shown, without its figures, in bytes on the wire
    of a host that compresses text, as hosts do."""
    text = re.sub(
        '(?s)<figure class="(explore|stepper)">.*?</figure>',
        "",
        (SITE / path).read_text("utf-8"),
    )
    names = re.findall(r'(?:href|src)="[./]*(_static/[^"?]+\.(?:css|js|svg))', text)
    names += [
        f"_static/katex/fonts/KaTeX_{n}.woff2" for n in ("Main-Regular", "Math-Italic")
    ]
    sizes = [len(gzip.compress((SITE / name).read_bytes())) for name in set(names)]
    assert len(names) <= 8
    assert len(gzip.compress(text.encode())) + sum(sizes) < 200_000


def test_no_file_lies_beside_the_pages_that_none_of_them_loads():
    files = [file for file in (SITE / "_static").rglob("*") if file.is_file()]
    texts = [path.read_text("utf-8") for path in SITE.rglob("*.html")]
    texts += [path.read_text("utf-8") for path in files if path.suffix == ".css"]
    text = "\n".join(texts)
    # The licence has to be wherever KaTeX is.
    assert [file.name for file in files if file.name not in text] == ["LICENSE"]


def test_nothing_is_left_of_other_themes():
    for path in FOUND:
        text = (SITE / path).read_text("utf-8")
        scripts = re.findall(r'<script[^>]* src="([^"?]*)', text)
        assert [Path(script).name for script in scripts] == ["site.js"], path
