"""The templates of the pages that grading writes."""

from pathlib import Path

import jinja2


def environment() -> jinja2.Environment:
    """Where templates are: text is escaped, and a name that nobody gave is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
