"""What a learner's notebook shows, made harmless for whoever looks at it.

Trusts bleach (an allow-list on an HTML5 parser), Pillow's decoders for three formats
behind limits, and that a page's template escapes plain text, as all templates here and
nbconvert's stream and error blocks do. Trusts nothing in the notebook.

What comes out is a notebook again, so that formgrader, feedback and JupyterLab all show
the same harmless thing.
"""

import base64
import binascii
import html
import io
import re
import warnings
from collections.abc import Callable, Collection

import bleach
from bleach.html5lib_shim import Filter
from mistune import HTMLRenderer
from nbconvert.filters.markdown_mistune import MarkdownWithMath
from PIL import Image

from course.grading.shown import KEPT, MOST_LINES, characters, plain, visible

MOST_OUTPUTS = 50  # of a cell
# A parser's time grows with the square of the length, if someone means it to.
MOST_MARKDOWN = 10_000  # characters of a cell
MOST_CLEANED = 20_000  # what may become of them, images aside
MOST_IN_ALL = 100_000  # of a notebook
MOST_IMAGES = 40  # of a notebook
MOST_IMAGE_BYTES = 4 * 2**20
MOST_PIXELS = 8_000_000
WIDEST = 1200

FORMATS = ("PNG", "JPEG", "GIF")
PICTURES = ("image/png", "image/jpeg", "image/gif")
DATA_URL = re.compile(r"data:image/(?:png|jpeg|gif);base64,([A-Za-z0-9+/=\s]+)")

TAGS = {
    *("a", "b", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt"),
    *("em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "kbd", "li", "ol"),
    *("p", "pre", "s", "small", "span", "strong", "sub", "summary", "sup", "table"),
    *("tbody", "td", "th", "thead", "tr", "u", "ul", "wbr"),
}
LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)

# What `clean_markdown` returns; in Markdown too such a line is HTML.
DIVISION = re.compile(r"<div>[^\n]*</div>")
# bleach writes no other "<" than that of a tag it let through.
FORMULA = re.compile(r"<span>(\$\$?)([^<]+?)\1</span>")
# Commands by which a formula reaches beyond itself in a page that runs MathJax.
REACHING = re.compile(
    r"\\(?=(?:href|url|unicode|require|class|style|cssId|data|includegraphics|bbox|def|"
    r"let|(?:re)?newcommand|newenvironment|mmlToken|html[a-zA-Z]*)(?![a-zA-Z]))"
)


# Notebooks


def clean(notebook: dict, trusted: Collection[str] = ()) -> dict:
    """Make a graded notebook harmless, in place: outputs, text cells, widgets.

    The sources of code cells stay as they are, since pages escape them, but for
    characters by which a line could show as another.

    Args:
        trusted: ids of cells whose sources are the course's own, and stay as they are.
    """
    clean_outputs(notebook)
    left = MOST_IN_ALL
    for cell in notebook["cells"]:
        if cell.get("id") in trusted:
            continue
        if cell["cell_type"] == "code":
            cell["source"] = characters(cell["source"], KEPT)
            continue
        attachments = cell.pop("attachments", None)
        left -= min(len(cell["source"]), MOST_MARKDOWN)
        if cell["cell_type"] == "markdown" and left >= 0:
            cell["source"] = clean_markdown(cell["source"], attachments)
        else:  # a raw cell would go into a page as it is
            text = plain(cell["source"] if left >= 0 else "… cut")
            cell["source"] = _one_line(f"<div><pre>{html.escape(text)}</pre></div>")
            cell["cell_type"] = "markdown"
    notebook["metadata"].pop("widgets", None)
    return notebook


def clean_outputs(notebook: dict) -> dict:
    """Make the outputs of a notebook harmless, in place: cut text, and PNG images."""
    images = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        outputs = cell.get("outputs") or []
        cleaned = []
        for output in outputs[:MOST_OUTPUTS]:
            new = _output(output, images < MOST_IMAGES)
            images += "image/png" in new.get("data", ())
            cleaned.append(new)
        if len(outputs) > MOST_OUTPUTS:
            text = f"… {len(outputs) - MOST_OUTPUTS} more outputs cut\n"
            cleaned.append(_stream(text))
        cell["outputs"] = [_like(cell, output) for output in cleaned]
    return notebook


def _like(cell, output):
    """`output` in the type of mapping that the notebook is made of."""
    kind = type(cell)
    if "data" in output:
        output["data"] = kind(output["data"])
    if "metadata" in output:
        output["metadata"] = kind()
    return kind(output)


def _stream(text: str) -> dict:
    return {"output_type": "stream", "name": "stdout", "text": text}


def _output(output: dict, with_images: bool) -> dict:
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return _stream(plain(_joined(output.get("text")))) | {"name": name}
    if kind == "error":
        lines = output.get("traceback")
        lines = lines if isinstance(lines, list) else [lines]
        trace = plain("\n".join(_joined(line) for line in lines[:MOST_LINES]))
        return {
            "output_type": "error",
            "ename": visible(_joined(output.get("ename"))[:200]),
            "evalue": plain(_joined(output.get("evalue"))),
            "traceback": trace.split("\n"),
        }
    if kind not in ("display_data", "execute_result"):
        return _stream(f"[an output of type {visible(str(kind)[:40])} is not shown]\n")
    data = output.get("data")
    data = data if isinstance(data, dict) else {}
    new = {"output_type": kind, "metadata": {}, "data": {}}
    if kind == "execute_result":
        count = output.get("execution_count")
        new["execution_count"] = count if type(count) is int else None
    found = next((data[each] for each in PICTURES if each in data), None)
    picture = png(_joined(found)) if found is not None and with_images else None
    if picture:
        new["data"]["image/png"] = picture
    if "text/plain" in data:
        new["data"]["text/plain"] = plain(_joined(data["text/plain"]))
    elif not picture:
        types = ", ".join(sorted(visible(str(each)[:40]) for each in data)[:5])
        new["data"]["text/plain"] = f"[{types or 'nothing'}: not shown]"
    return new


def _joined(text) -> str:
    if isinstance(text, list):
        return "".join(each for each in text if isinstance(each, str))
    return text if isinstance(text, str) else ""


def png(encoded: str) -> str | None:
    """An image in base64, decoded and written anew as PNG of at most `WIDEST` pixels
    a side, in base64; None if it is none, or too large to look at."""
    if len(encoded) > MOST_IMAGE_BYTES * 4 // 3 + 4:
        return None
    try:
        data = base64.b64decode(encoded, validate=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
            # The header's size decides what is allocated; what does not fit is cut.
            if picture.width * picture.height > MOST_PIXELS:
                return None
            picture = picture.convert("RGBA")  # of several frames the first
        picture.thumbnail((WIDEST, WIDEST))
        # A new picture: nothing but pixels goes along.
        bare = Image.new("RGBA", picture.size)
        bare.paste(picture)
        out = io.BytesIO()
        bare.save(out, "PNG")
    except (
        *(OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError),
        *(MemoryError, OverflowError, ArithmeticError, KeyError, AttributeError),
        *(binascii.Error, Warning, Image.DecompressionBombError),
    ):
        return None  # decoders raise what they like
    written = out.getvalue()
    if len(written) > MOST_IMAGE_BYTES:
        return None
    return base64.b64encode(written).decode("ascii")


# Markdown


class _Renderer(HTMLRenderer):
    """Plain HTML: no highlighting, no anchors; a formula is a span of its own."""

    def __init__(self, attachments: dict):
        # What is raw or harmful is bleach's to judge, in one place.
        super().__init__(escape=False, allow_harmful_protocols=True)
        self.attachments = attachments

    def image(self, text: str, url: str, title: str | None = None) -> str:
        bundle = self.attachments.get(url.removeprefix("attachment:"))
        if url.startswith("attachment:") and isinstance(bundle, dict):
            found = next((each for each in PICTURES if each in bundle), None)
            url = f"data:{found};base64,{_joined(bundle[found])}" if found else ""
        return f'<img alt="{html.escape(text)}" src="{html.escape(url)}">'

    def block_code(self, code: str, info: str | None = None) -> str:
        return f"<pre><code>{html.escape(code)}</code></pre>\n"

    def inline_math(self, body: str) -> str:
        return as_tex(body, display=False)

    def block_math(self, body: str) -> str:
        return as_tex(body, display=True)

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")


class _Pictures(Filter):
    """Every image written anew; what is not one is named instead."""

    def __iter__(self):
        left = MOST_IMAGES
        for token in super().__iter__():
            if token.get("name") == "img":
                attributes = token["data"]
                found = DATA_URL.fullmatch(attributes.get((None, "src"), ""))
                picture = png(found[1]) if found and left > 0 else None
                left -= 1
                alt = attributes.get((None, "alt"), "")
                if picture is None:
                    yield {"type": "Characters", "data": f"[image: {alt}]"}
                    continue
                url = f"data:image/png;base64,{picture}"
                token["data"] = {(None, "alt"): alt, (None, "src"): url}
            yield token


def _is_allowed(tag: str, name: str, value: str) -> bool:
    """Whether an attribute stays; bleach looks at the scheme of a URL after this."""
    match tag, name:
        case "a", "href":
            return bool(LINK.match(value))
        case "img", "src":
            return bool(DATA_URL.fullmatch(value))
        case "ol", "start":
            return value.isdecimal()
        case ("img", "alt") | ("a", "title"):
            return True
    return False


def as_tex(formula: str, display: bool) -> str:
    """A formula between dollars, for pages where MathJax looks for them."""
    mark = "$$" if display else "$"
    return f"<span>{mark}{html.escape(formula)}{mark}</span>"


def clean_markdown(
    text: str,
    attachments: dict | None = None,
    formula: Callable[[str, bool], str] = as_tex,
) -> str:
    """Markdown as harmless HTML that is Markdown too: a division on one line, which
    every renderer passes on as it is. To clean it again changes nothing.

    Args:
        attachments: the cell's; images in them become part of the text.
        formula: from TeX, and whether it is displayed, to HTML that is put in as is.
    """
    text = characters(text.replace("\r\n", "\n"), KEPT)
    attachments = attachments if isinstance(attachments, dict) else {}
    try:
        if DIVISION.fullmatch(text):
            rendered = text[5:-6]
        elif len(text) <= MOST_MARKDOWN:
            markdown = MarkdownWithMath(renderer=_Renderer(attachments))
            rendered = markdown.render(text)
        else:
            rendered = _as_it_is(text)
        if _length(rendered) > MOST_CLEANED:
            rendered = _as_it_is(text)
        cleaned = _cleaner().clean(rendered)
    except RecursionError:  # quotes in quotes in quotes
        cleaned = _as_it_is(text)
    cleaned = REACHING.sub(r"\\<wbr>", cleaned)
    if formula is not as_tex:
        cleaned = FORMULA.sub(
            lambda found: formula(html.unescape(found[2]), found[1] == "$$"), cleaned
        )
    return f"<div>{_one_line(cleaned.strip())}</div>"


def _as_it_is(text: str) -> str:
    """The beginning of what is too long or too deep for a parser."""
    return f"<pre>{html.escape(text[: MOST_MARKDOWN // 4])}\n… cut</pre>"


def _length(rendered: str) -> int:
    return len(DATA_URL.sub("", rendered))


def _cleaner() -> bleach.Cleaner:
    return bleach.Cleaner(
        tags=TAGS,
        attributes=_is_allowed,
        protocols=("http", "https", "mailto", "data"),  # data: of images only, above
        filters=[_Pictures],
    )


def _one_line(text: str) -> str:
    parts = re.split("(<pre>.*?</pre>)", text, flags=re.DOTALL)
    parts[::2] = [part.replace("\n", " ") for part in parts[::2]]
    return "".join(part.replace("\n", "&#10;") for part in parts)
