"""What the search looks through: every section of the book, as plain text.

A classic script that the page loads when somebody searches, so that it works from disk.
Sphinx's own index knows the stems of English words only, and no Chinese.
"""

import json
import re
from pathlib import Path

from docutils import nodes

INDEX = "search-index.js"
# What nobody searches for, or what would hide the text around it.
LEFT_OUT = (nodes.literal_block, nodes.math_block, nodes.raw, nodes.title)


def text(node: nodes.Node) -> str:
    """The words below a node, without those of sections and terms inside it."""
    if isinstance(node, nodes.Text):
        return node.astext()
    if isinstance(node, (*LEFT_OUT, nodes.section, nodes.definition_list_item)):
        return ""
    if isinstance(node, nodes.math):
        # A stop behind a formula was moved into it (formulas.StopsInFormulas).
        return re.sub(r"\\text\{(.)\}$", r"\1", node.astext()).replace("\\", "")
    between = "" if isinstance(node, nodes.TextElement) else " "
    return between.join(text(child) for child in node.children)


def sections(doctree: nodes.document):
    """Anchor, title and text of every section, and of every term of a glossary."""
    for node in doctree.findall(nodes.section):
        words = " ".join(text(child) for child in node.children)
        anchor = "" if node.parent is doctree else node["ids"][0]
        yield anchor, node.next_node(nodes.title).astext(), words
    for node in doctree.findall(nodes.definition_list_item):
        term = node.next_node(nodes.term)
        words = " ".join(text(child) for child in node.children if child is not term)
        ids = term["ids"]
        yield (ids[0] if ids else ""), term.astext(), words


def collect(app, pagename, templatename, context, doctree):
    """Keep the sections of a page that is written; others are kept from before."""
    if doctree is None:
        return
    title = app.env.titles[pagename].astext()
    rows = [
        [title, pagename, anchor, name, " ".join(words.split())]
        for anchor, name, words in sections(doctree)
    ]
    file = kept(app, pagename)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def kept(app, pagename: str) -> Path:
    return Path(app.doctreedir) / "search" / f"{pagename}.json"


def write(app, exception):
    """All sections as one script beside the others."""
    if exception is not None:
        return
    pages = [kept(app, page) for page in sorted(app.env.found_docs)]
    rows = []
    for file in pages:
        if file.is_file():
            rows += json.loads(file.read_text(encoding="utf-8"))
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    target = Path(app.outdir) / "_static" / INDEX
    target.write_text(f"window.courseIndex = {text};\n", encoding="utf-8")


def setup(app):
    """Write our index in place of Sphinx's."""
    app.connect("builder-inited", lambda app: setattr(app.builder, "search", False))
    app.connect("html-page-context", collect)
    app.connect("build-finished", write)
