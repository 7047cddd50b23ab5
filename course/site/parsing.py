"""Directives that write MyST, as if it stood where they stand."""

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective


class GeneratedDirective(SphinxDirective):
    """A directive whose nodes come from MyST that it generates."""

    def parsed(self, lines: list[str]) -> list[nodes.Node]:
        container = nodes.container()
        place = self.get_source_info()
        content = StringList(lines, items=[place] * len(lines))
        self.state.nested_parse(content, 0, container)
        return container.children
