"""Where a number comes from: numbers on other pages lead to the cell that made them,
and every chapter's sources are collected on one page."""

import re

from docutils import nodes
from myst_nb.ext.glue.utils import PendingGlueReference
from sphinx.transforms.post_transforms import SphinxPostTransform

from course.paths import root
from course.site import execution
from course.site.parsing import GeneratedDirective

SOURCES = re.compile(r"^## Sources\n(.*?)(?=^## |\Z)", re.M | re.S)


def anchor(key: str) -> str:
    """The id of the place of a glued number."""
    return "number-" + re.sub(r"[^\w.-]", "-", key)


def mark_cells(app, doctree):
    """Give each cell the ids of the numbers that it glued. A cell that is not shown
    leaves them to the one before it."""
    chapter = app.chapters.get(app.env.docname)
    if chapter is None:
        return
    cache = execution.store()
    try:
        record = cache.match_cache_notebook(chapter.notebook)
    except KeyError:
        return  # it raised, and the build fails for that
    executed = iter(cache.get_cache_bundle(record.pk).nb.cells)
    shown = {
        node["cell_index"]: node
        for node in doctree.findall(nodes.container)
        if node.get("nb_element") == "cell_code"
    }
    last = None
    for index, cell in enumerate(chapter.notebook.cells):
        if cell.cell_type != "code":
            continue
        last = shown.get(index, last)
        for output in next(executed).outputs:
            key = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if key and last is not None:
                last["ids"].append(anchor(key))


class LinkNumbers(SphinxPostTransform):
    """A number from another page is a link to the cell that made it."""

    default_priority = 4  # before MyST-NB puts the numbers in, at 5
    formats = ("html",)

    def run(self, **_):
        here = self.env.docname
        for node in list(self.document.findall(PendingGlueReference)):
            if node.refdoc == here:
                continue
            page = self.app.builder.get_relative_uri(here, node.refdoc)
            link = nodes.reference("", "", internal=True)
            link["refuri"] = f"{page}#{anchor(node.key)}"
            node.replace_self(link)
            link += node


class ChapterSources(GeneratedDirective):
    """```{chapter-sources}```: the last section of every chapter."""

    def run(self):
        lines, part = [], None
        for tree in self.config.external_site_map.root.subtrees:
            for page in tree.files():
                path = root() / f"{page}.md"
                found = SOURCES.search(path.read_text(encoding="utf-8"))
                if page.count("/") != 2 or found is None:
                    continue
                self.env.note_dependency(str(path))
                if part != tree.caption:
                    part = tree.caption
                    lines += [f"```{{rubric}} {part}", "```", ""]
                lines += [f"**{{doc}}`/{page}`**", ""]
                lines += [*found[1].strip().splitlines(), ""]
        return self.parsed(lines)


def setup(app):
    """Register the directive and the links."""
    app.add_directive("chapter-sources", ChapterSources)
    app.connect("doctree-read", mark_cells)
    app.add_post_transform(LinkNumbers)
