"""Formulas as HTML, written at build time: a page's math waits for no script.

KaTeX runs here, in an embedded V8, not in the reader's browser. What it writes needs
one style sheet and fonts, which are shipped with the page.
"""

import functools
import html
import json
import re
from pathlib import Path

from docutils import nodes
from py_mini_racer import JSEvalException, MiniRacer
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

KATEX = Path(__file__).parent / "static" / "katex"

# In MathML inside HTML: the formula once more as LaTeX, and the name of the language.
UNUSED = re.compile(r'<annotation.*?</annotation>| xmlns="[^"]*"', re.S)

# A list this long in a line of text may be broken after a comma outside braces: a phone
# is narrower than it.
LONG = 4
COMMAS = re.compile(r",(?![^{}]*\})")

logger = logging.getLogger(__name__)


class FormulaError(ValueError):
    """A formula KaTeX cannot read; the text says where it stopped."""


@functools.cache
def _engine() -> MiniRacer:
    engine = MiniRacer()
    engine.eval((KATEX / "katex.min.js").read_text(encoding="utf-8"))
    return engine


@functools.cache
def to_html(formula: str, display: bool) -> str:
    """LaTeX to HTML, with MathML beside it for screen readers.

    Raises:
        FormulaError: KaTeX does not know a command, or the braces do not match.
    """
    options = {"displayMode": display, "strict": "ignore", "throwOnError": True}
    call = f"katex.renderToString({json.dumps(formula)}, {json.dumps(options)})"
    try:
        written = _engine().eval(call)
    except JSEvalException as error:
        lines = str(error).splitlines()
        reason = next((line for line in lines if "KaTeX parse error" in line), lines[0])
        raise FormulaError(reason.partition("ParseError: ")[2] or reason) from None
    return UNUSED.sub("", written)


def _rendered(node: nodes.Node, display: bool) -> str:
    formula = node.astext().strip()
    # Sphinx, for MathJax: a display formula of several lines is aligned at its &.
    if display and r"\\" in formula and r"\begin" not in formula:
        formula = rf"\begin{{aligned}}{formula}\end{{aligned}}"
    if not display and len(COMMAS.findall(formula)) >= LONG:
        formula = COMMAS.sub(r",\\allowbreak ", formula)
    try:
        return to_html(formula, display)
    except FormulaError as error:
        logger.warning("formula: %s", error, location=node, type="math")
        return f"<code>{html.escape(formula)}</code>"


def _visit_math(translator, node):
    translator.body.append(_rendered(node, display=False))
    raise nodes.SkipNode


STOPS = (".", ",", ";", ":", "?", "!")


class StopsInFormulas(SphinxPostTransform):
    """Move a stop behind a formula into it: browsers break the line between them."""

    default_priority = 900
    formats = ("html",)

    def run(self, **_):
        for node in list(self.document.findall(nodes.math)):
            index = node.parent.index(node) + 1
            after = node.parent[index] if index < len(node.parent) else None
            if isinstance(after, nodes.Text) and after.startswith(STOPS):
                node += nodes.Text(rf"\text{{{after[0]}}}")
                node.parent[index] = nodes.Text(after[1:])


def _visit_displaymath(translator, node):
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(_rendered(node, display=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Register the renderer `katex`."""
    app.add_html_math_renderer("katex", (_visit_math, None), (_visit_displaymath, None))
    app.add_post_transform(StopsInFormulas)
