"""What a notebook shows is harmless, and still what it showed."""

import base64
import io
import json
import struct
import zlib

import nbformat
import pytest
from PIL import Image

from course.grading import hygiene
from course.grading.hygiene import clean, clean_markdown, clean_outputs, plain, png

V4 = nbformat.v4


def image(size=(4, 3), form="PNG", **more):
    out = io.BytesIO()
    Image.new("RGB", size, (250, 0, 0)).save(out, form, **more)
    return base64.b64encode(out.getvalue()).decode()


def opened(encoded):
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def outputs_of(*outputs):
    cell = V4.new_code_cell("x", outputs=list(outputs))
    notebook = clean_outputs(V4.new_notebook(cells=[cell]))
    nbformat.validate(notebook)
    return notebook.cells[0].outputs


def display(**data):
    data = {key.replace("_", "/"): value for key, value in data.items()}
    return V4.new_output("display_data", data)


# Text


def test_what_a_terminal_would_obey_is_written_out():
    shown = hygiene.visible("a\x1b[2Jb\rc\u202ed\u2066e\x7ff\u200bg\x9bh\ud800\u2028")
    assert shown == ("a␛[2Jb␍c⟨U+202E⟩d⟨U+2066⟩e␡f⟨U+200B⟩g⟨U+009B⟩h⟨U+D800⟩⟨U+2028⟩")
    assert hygiene.visible("Zoë 学生 = ∇ 👍🏽") == "Zoë 学生 = ∇ 👍🏽"


def test_colours_go_and_lines_stay():
    assert plain("\x1b[31mred\x1b[0m\r\nnext\tx") == "red\nnext\tx"
    assert plain("\x1b]8;;http://x\x07link") == "␛]8;;http://x␇link"


@pytest.mark.parametrize(
    "text", ["x" * 10**7, "line\n" * 10**6, "\n" * 10**6, "ab " * 10**6]
)
def test_a_flood_of_text_is_cut(text):
    cut = plain(text)
    assert cut.endswith("… cut")
    assert len(cut) < 25_000


# Outputs


def test_stdout_and_errors_stay_as_text():
    stream, error = outputs_of(
        V4.new_output("stream", text="<b>not</b> bold\x1b[1A\n"),
        V4.new_output(
            "error", ename="E<", evalue="\u202e", traceback=["a\x1b[0m", "b"]
        ),
    )
    assert stream.text == "<b>not</b> bold␛[1A\n"
    assert (error.ename, error.evalue) == ("E<", "⟨U+202E⟩")
    assert error.traceback == ["a", "b"]


def test_every_type_but_images_becomes_its_text():
    svg = "<svg onload=alert(1)></svg>"
    [output] = outputs_of(display(text_html="<script>", image_svg=svg, text_plain="t"))
    assert output.data == {"text/plain": "t"}
    [output] = outputs_of(display(text_html="<script>alert(1)</script>"))
    assert output.data == {"text/plain": "[text/html: not shown]"}
    for kind in ("application/javascript", "text/latex", "text/markdown"):
        [output] = outputs_of(V4.new_output("display_data", {kind: "alert(1)"}))
        assert output.data == {"text/plain": f"[{kind}: not shown]"}


def test_a_result_keeps_what_points_are_read_from():
    [output] = outputs_of(
        V4.new_output("execute_result", {"text/plain": "0.5"}, execution_count=3)
    )
    assert output.data == {"text/plain": "0.5"}
    assert output.execution_count == 3


def test_images_are_written_anew_as_png_without_what_hangs_on_them():
    tail = base64.b64encode(base64.b64decode(image()) + b"<script>alert(1)").decode()
    for encoded in (tail, image(form="JPEG", comment=b"<script>"), image(form="GIF")):
        written = png(encoded)
        assert b"script" not in base64.b64decode(written)
        assert opened(written).format == "PNG"
        assert opened(written).size == (4, 3)
    [output] = outputs_of(display(image_png=tail, text_plain="a figure"))
    assert set(output.data) == {"image/png", "text/plain"}
    assert output.data["image/png"] == png(tail)


def test_an_image_written_anew_twice_stays_the_same():
    assert png(png(image())) == png(image())


def test_a_large_image_is_made_smaller_and_a_giant_is_not_shown():
    assert opened(png(image((3000, 1500)))).size == (1200, 600)
    assert png(image((4000, 2001))) is None  # Pillow itself would take it
    # 60000 x 60000 pixels, by its header, in 100 bytes.
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d))
        for n, d in chunks
    )
    giant = base64.b64encode(data).decode()
    assert png(giant) is None
    [output] = outputs_of(display(image_png=giant, text_plain="a giant"))
    assert output.data == {"text/plain": "a giant"}


@pytest.mark.parametrize(
    "encoded", ["", "!", "AAAA", image()[:60], base64.b64encode(b"GIF89a").decode()]
)
def test_what_is_no_image_is_not_shown(encoded):
    assert png(encoded) is None


def test_other_formats_are_not_decoded():
    assert png(image(form="TIFF")) is None
    assert png(base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n").decode()) is None


def test_a_hundred_thousand_displays_are_cut():
    one = {"output_type": "display_data", "data": {"text/plain": "x"}, "metadata": {}}
    cell = {"cell_type": "code", "source": "", "outputs": [one] * 10**5}
    clean_outputs({"cells": [cell], "metadata": {}})
    assert len(cell["outputs"]) == hygiene.MOST_OUTPUTS + 1
    assert cell["outputs"][-1]["text"] == "… 99950 more outputs cut\n"


def test_outputs_of_any_shape_become_valid_ones():
    strange = [
        *({}, {"output_type": "update_display_data"}, {"output_type": "display_data"}),
        {"output_type": "stream", "text": {"a": 1}, "name": "<script>"},
        {"output_type": "error", "traceback": 3, "ename": None},
        {"output_type": "error", "traceback": [1, None], "evalue": []},
        {"output_type": "display_data", "data": {"image/png": 7, "text/plain": None}},
        {"output_type": "execute_result", "data": [], "execution_count": "x"},
    ]
    cell = {"cell_type": "code", "source": "", "outputs": strange}
    notebook = clean_outputs({"cells": [cell], "metadata": {}})
    cell |= {"execution_count": None, "metadata": {}, "id": "a"}
    nbformat.validate(notebook | {"nbformat": 4, "nbformat_minor": 5})


# Markdown


def test_plain_formatting_stays():
    text = """# Title
*a* **b** `x < y` ~~d~~ H<sub>2</sub>O <br> a & b

- one
  1. two

> quote

<details><summary>Hint 1</summary>Use <code>x[0]</code>.</details>

| a | b |
|---|---|
| 1 | 2 |

```python
if a < b:

    pass
```
[link](https://example.org/?a=1&b=2) <me@example.org>
"""
    shown = clean_markdown(text)
    for piece in (
        *("<h1>Title</h1>", "<em>a</em>", "<strong>b</strong>", "<del>d</del>"),
        *("<code>x &lt; y</code>", "H<sub>2</sub>O", "<br>", "a &amp; b"),
        *("<li>one", "<li>two</li>", "<blockquote>", "<td>2</td>"),
        "<details><summary>Hint 1</summary>Use <code>x[0]</code>.</details>",
        "<pre><code>if a &lt; b:&#10;&#10;    pass&#10;</code></pre>",
        '<a href="https://example.org/?a=1&amp;b=2">link</a>',
        '<a href="mailto:me@example.org">',
    ):
        assert piece in shown, piece


SCRIPTS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<details open ontoggle=alert(1)>x</details>",
    "<a href=javascript:alert(1)>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#115;cript:alert(1))",
    "[x](&#106;avascript&colon;alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](  javascript:alert(1))",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](vbscript:x)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example)",
    "![x](javascript:alert(1))",
    "![x](https://evil.example/track.png)",
    "![x](data:image/svg+xml;base64,PHN2Zy8+)",
    '![x](attachment:a"onerror="alert(1))',
    '![" onerror="alert(1)](x)',
    '[x](https://a.example/"onclick="alert(1))',
    "<iframe src=https://evil.example></iframe>",
    "<object data=x></object><embed src=x>",
    "<form action=https://evil.example><input autofocus onfocus=alert(1)></form>",
    "<style>@import 'https://evil.example'</style>",
    "<p style='background:url(https://evil.example)'>x</p>",
    "<base href=https://evil.example><meta http-equiv=refresh content=0>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--<img src='--><img src=x onerror=alert(1)>'-->",
    "<b\n\nonclick=alert(1)>x</b>",
    "<div><pre><img src=x\nonerror=alert(1)></pre></div>",
    '```"><img src=x onerror=alert(1)>\nx\n```',
    "```mermaid\n</pre><img src=x onerror=alert(1)>\n```",
    "$</span><img src=x onerror=alert(1)>$",
    "$$\n<script>alert(1)</script>\n$$",
    r"\begin{a}<script>alert(1)</script>\end{a}",
    "<span>$<img src=x onerror=alert(1)>$</span>",
    "<img alt='<span>$x$</span>' src=x onerror=alert(1)>",
    "<a title='<span>$x$</span>' href=https://a.example>x</a>",
]


def tags(shown):
    """The tags and attributes that a browser's parser finds."""
    from bs4 import BeautifulSoup

    for tag in BeautifulSoup(shown, "html.parser").find_all(True):
        yield tag.name, tag.attrs


@pytest.mark.parametrize("text", SCRIPTS)
def test_nothing_in_markdown_runs_or_loads(text):
    for shown in (clean_markdown(text), clean_markdown(clean_markdown(text))):
        assert "\n" not in shown
        for name, attributes in tags(shown):
            assert name in hygiene.TAGS
            assert set(attributes) <= {"href", "title", "alt", "src", "start"}
            link = attributes.get("href", "https://")
            assert link.startswith(("https://", "http://", "mailto:"))
            assert attributes.get("src", "data:image/png;").startswith(
                "data:image/png;"
            )


@pytest.mark.parametrize("text", SCRIPTS)
def test_what_jupyters_own_renderer_makes_of_it_is_the_same(text):
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    shown = clean_markdown(text)
    assert markdown2html_mistune(shown).strip() == shown


@pytest.mark.parametrize(
    "text", ["# a\n\n|b|\n|-|\n|c|\n\n    d\n\n$e<f$ &amp; &copy;", "a"]
)
def test_cleaning_twice_changes_nothing(text):
    assert clean_markdown(clean_markdown(text)) == clean_markdown(text)


def test_formulas_stay_and_those_that_reach_out_do_not():
    assert "<span>$a&lt;b$</span>" in clean_markdown("so $a<b$.")
    assert r"<span>$$\sum_i$$</span>" in clean_markdown("$$\\sum_i$$")
    assert r"$\left(x\right)$" in clean_markdown(r"$\left(x\right)$")
    for command in (
        "href{javascript:alert(1)}{x}",
        "require{html}",
        "htmlData{a=b}{c}",
    ):
        assert f"\\{command}" not in clean_markdown(f"$\\{command}$")
        assert f"\\{command}" not in clean_markdown(f"a \\\\(\\{command}\\\\)")


def test_formulas_are_put_in_by_whoever_asks_also_the_second_time():
    def mark(tex, display):
        return f"<i>{len(tex)}{display}</i>"

    once = clean_markdown("$a<b$ and $$c$$")
    for text in ("$a<b$ and $$c$$", once):
        shown = clean_markdown(text, formula=mark)
        assert "<i>3False</i>" in shown
        assert "<i>1True</i>" in shown


def test_attached_images_are_shown_and_others_named():
    attachments = {"a.png": {"image/png": image()}, "b": {"image/svg+xml": "<svg/>"}}
    text = "![one](attachment:a.png) ![two](attachment:b) ![three](attachment:c)"
    shown = clean_markdown(text, attachments)
    assert f'<img alt="one" src="data:image/png;base64,{png(image())}">' in shown
    assert "[image: two] [image: three]" in shown
    assert clean_markdown(shown) == shown


def test_direction_marks_in_text_are_written_out():
    assert "⟨U+202E⟩" in clean_markdown("a\u202eb")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "<div>" * 10**5,
            "> " * 10**5,
            "[" * 10**6,
            "$" * 10**5,
            "\\begin{a}" * 10**5,
        ),
        *("<b>" * 10**5, "<div>" + "<b>" * 10**5 + "</div>", "- " * 10**5, "&" * 10**6),
        "![a](attachment:a)" * 10**4,
    ],
)
def test_a_text_that_is_too_long_for_a_parser_is_cut(text):
    shown = clean_markdown(text, {"a": {"image/png": image()}})
    assert len(shown) < 300_000


# Notebooks


def test_a_whole_notebook_is_clean_but_for_what_is_trusted():
    own = V4.new_markdown_cell("<script>1</script>", id="own-1")
    own.attachments = {"a": {"image/png": "x"}}
    given = V4.new_markdown_cell("<u>given</u>\n\ntext", id="text-1")
    raw = V4.new_raw_cell("<script>1</script>\n", id="own-2")
    raw.metadata.raw_mimetype = "text/html"
    code = V4.new_code_cell("x", id="own-3", outputs=[display(text_html="<script>")])
    notebook = V4.new_notebook(cells=[own, given, raw, code])
    notebook.metadata.widgets = {"state": "<script>"}
    clean(notebook, trusted={"text-1"})
    nbformat.validate(notebook)
    assert given.source == "<u>given</u>\n\ntext"
    assert "<script>" not in json.dumps(notebook)
    assert raw.cell_type == "markdown"
    assert "widgets" not in notebook.metadata


def test_a_line_of_code_shows_as_what_it_is():
    line = "admin = False  # \u202e)eurT = nimda("
    mine, given = (V4.new_code_cell(line, id=name) for name in ("own-1", "code-1"))
    clean(V4.new_notebook(cells=[mine, given]), trusted={"code-1"})
    assert mine.source == "admin = False  # ⟨U+202E⟩)eurT = nimda("
    assert given.source == line


def test_two_thousand_long_cells_are_cut():
    cells = [V4.new_markdown_cell("[" * 9_000, id=f"own-{n}") for n in range(2000)]
    notebook = clean(V4.new_notebook(cells=cells))
    assert notebook.cells[-1].source == "<div><pre>… cut</pre></div>"
