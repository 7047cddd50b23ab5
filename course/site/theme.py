"""The theme `course`: what its one layout shows around the text of a page."""

import html
import re
import zlib
from pathlib import Path

import yaml
from docutils import nodes

from course.paths import root
from course.site import map

STATIC = Path(__file__).parent / "static"
THEME = Path(__file__).parent / "theme"

# Kinds of token that have the colour of the text: their tags are half of a page.
PLAIN_TOKENS = "n|p|o|w|nn|nb|bp|ne|na|nt|nl|nv|vm|g|gp|go"


class Page(dict):
    """What the layout shows of a page; what is not there is shown as nothing."""

    __getattr__ = dict.get


def fill(app, pagename, templatename, context, doctree):
    """Give the layout what it needs, and make the page light."""
    config, pathto = app.config, context["pathto"]
    base = ""
    if pagename == "404":
        context["base"] = base = config.html_baseurl or "/"
    context["pathto"] = lambda *place: base + pathto(*place)

    def asset(name: str) -> str:
        """The address of a static file, another one when the file changes."""
        file = STATIC / name
        digest = f"?v={zlib.crc32(file.read_bytes()):08x}" if file.is_file() else ""
        return base + pathto(f"_static/{name}", 1) + digest

    body = context.get("body", "")
    context["body"] = light(body, sizes(app, doctree))
    context["asset"] = asset
    context["page"] = Page(
        math='class="katex' in body,
        contents=contents(context).replace('href="', f'href="{base}')
        if base
        else contents(context),
        headings=headings(app, context.get("toc") or ""),
        place=place(app, pagename, context["pathto"]),
        description=description(doctree) or config.html_title,
        links=links(app, pagename, context),
        citation=citation(context, pagename) if doctree else "",
    )


# ---- The frame of a page


def contents(context) -> str:
    """The table of contents: a part each that opens, this page's part open."""
    tree = context["toctree"](collapse=True, maxdepth=3, includehidden=True)
    tree = re.sub(
        r' class="[^"]*\bcurrent reference[^"]*"', ' aria-current="page"', tree
    )
    tree = re.sub(r' class="(?!toctree-l\d current)[^"]*"', "", tree or "")
    parts = re.split(r"<p[^>]*><span[^>]*>(.*?)</span></p>", tree)
    shown = parts[:1]
    for name, pages in zip(parts[1::2], parts[2::2]):
        now = " open" if "current" in pages else ""
        shown.append(f"<details{now}><summary>{name}</summary>{pages}</details>")
    return re.sub(r' class="[^"]*"', "", "".join(shown))


def headings(app, toc: str) -> str:
    """The headings of a page without its title; nothing where there are few."""
    titles = {name: title.astext() for name, title in app.env.titles.items()}
    # A heading that is a link to a page has the page's name here.
    toc = re.sub(
        r">([\w/]+)</a>", lambda m: f">{titles.get(f'book/{m[1]}', m[1])}</a>", toc
    )
    inner = re.search(r"</a>\s*(<ul>.*</ul>)\s*</li>\s*</ul>", toc, re.S)
    if inner is None or inner[1].count("<li>") < 3:
        return ""
    return re.sub(r' class="[^"]*"', "", inner[1])


def place(app, pagename: str, pathto) -> str:
    """The part that a chapter belongs to; of an exercise page, its chapter."""
    if pagename.startswith("exercises/"):
        chapter = f"book/{pagename.removeprefix('exercises/')}"
        title = html.escape(app.env.titles[chapter].astext())
        return f'Chapter: <a href="{pathto(chapter)}">{title}</a>'
    for tree in app.config.external_site_map.root.subtrees:
        names = tree.files()
        if tree.caption and pagename in names and pagename.count("/") == 2:
            number = names.index(pagename) + 1
            here = f"{html.escape(tree.caption)} · lesson {number} of {len(names)}"
            return here + needed(app, pagename, pathto)
    return ""


def needed(app, pagename: str, pathto) -> str:
    """What a lesson builds on, as links."""
    if not (root() / map.FILE).is_file():
        return ""
    needs = map.lessons()[pagename.removeprefix("book/")].needs
    titles = {f"book/{path}": app.env.titles[f"book/{path}"].astext() for path in needs}
    linked = [
        f'<a href="{pathto(page)}">{html.escape(title)}</a>'
        for page, title in titles.items()
    ]
    return f" · builds on {', '.join(linked)}" if linked else ""


def description(doctree) -> str:
    """For search engines: the claim of a chapter, which is in bold, or how it starts."""
    if doctree is None:
        return ""
    paragraphs = list(doctree.findall(nodes.paragraph))
    claims = [node for node in paragraphs[:4] if isinstance(node[0], nodes.strong)]
    text = next((node.astext() for node in claims + paragraphs), "")
    text = " ".join(text.split())
    return text if len(text) < 160 else text[:157].rsplit(" ", 1)[0] + " …"


def links(app, pagename: str, context) -> list[tuple[str, str]]:
    """Where the source of a page is and, if the repository is known, where to say that
    something is wrong and where to run a notebook."""
    if "sourcename" not in context or pagename == "404":
        return []
    found = [
        (
            "Source of this page",
            context["pathto"](f"_sources/{context['sourcename']}", 1),
        )
    ]
    options = app.config.html_theme_options
    url = options.get("repository_url", "").rstrip("/")
    if not url:
        return found
    branch = options.get("repository_branch") or "main"
    path = Path(app.env.doc2path(pagename)).relative_to(app.srcdir).as_posix()
    found += [
        ("In the repository", f"{url}/blob/{branch}/{path}"),
        ("Report a mistake", f"{url}/issues/new?title={pagename}"),
    ]
    hub = (options.get("launch_buttons") or {}).get("binderhub_url", "").rstrip("/")
    if hub and pagename.startswith("exercises/"):
        owner = "/".join(url.split("/")[-2:])
        place = f"{hub}/v2/gh/{owner}/{branch}?urlpath=lab/tree/{path}"
        found.append(("Open in Binder", place))
    return found


def citation(context, pagename: str) -> str:
    """BibTeX for a page, from CITATION.cff."""
    file = root() / "CITATION.cff"
    if not file.is_file():
        return ""
    about = yaml.safe_load(file.read_text(encoding="utf-8"))
    name = pagename.removeprefix("book/").replace("/", ":")
    title = re.sub("<[^>]+>", "", context["title"])
    authors = " and ".join(f"{{{author['name']}}}" for author in about["authors"])
    fields = {
        "author": authors,
        "title": html.unescape(title),
        "howpublished": f"{about['title']}, version {about['version']}",
        "year": context["copyright"],
        "url": context.get("pageurl"),
    }
    lines = [f"  {key} = {{{value}}}," for key, value in fields.items() if value]
    return "\n".join([f"@misc{{runnable:{name},", *lines, "}"])


# ---- The weight of a page


def sizes(app, doctree) -> dict[str, tuple[str, str]]:
    """Width and height of the drawings of a page, by file name, in pixels."""
    found = {}
    for node in doctree.findall(nodes.image) if doctree else ():
        file = app.srcdir / node["uri"]
        name = app.builder.images.get(node["uri"])
        if name is None or file.suffix != ".svg":
            continue
        head = file.read_text(encoding="utf-8")[:2000]
        size = re.search(
            r'<svg[^>]*? height="([\d.]+)pt"[^>]*? width="([\d.]+)pt"', head
        )
        if size is None:
            size = re.search(r'<svg[^>]*? width="([\d.]+)pt" height="([\d.]+)pt"', head)
            width, height = size.groups() if size else (0, 0)
        else:
            height, width = size.groups()
        if width:
            found[name] = tuple(f"{float(x) * 4 / 3:.0f}" for x in (width, height))
    return found


def light(body: str, size: dict[str, tuple[str, str]]) -> str:
    """The text of a page without tags that change nothing; figures come when they are
    near, and hold their place until then; wide tables scroll by themselves."""

    def image(match):
        tag = match[0]
        name = re.search(r'src="[^"]*_images/([^"]+)"', tag)
        if name and name[1] in size and "width=" not in tag:
            width, height = size[name[1]]
            tag = tag.replace("<img ", f'<img width="{width}" height="{height}" ')
        return tag.replace("<img ", '<img loading="lazy" decoding="async" ')

    body = re.sub(rf'<span class="(?:{PLAIN_TOKENS})">([^<]*)</span>', r"\1", body)
    body = re.sub(r"<pre><span></span>", "<pre>", body)
    body = re.sub(r"<img [^>]*_images/[^>]*>", image, body)
    body = re.sub(
        r"(?:<div class=\"pst-scrollable-table-container\">)?<table\b",
        '<div class="table"><table',
        body,
    )
    body = (
        re.sub(r"</table>(?:\s*</div>)?", "</table></div>", body)
        if "pst-scroll" in body
        else body.replace("</table>", "</table></div>")
    )
    body = body.replace(' class="tex2jax_ignore mathjax_ignore"', "")
    # Roles that no longer exist, and a list whose entries are none.
    body = re.sub(r' role="(?:doc-biblioentry|doc-noteref)"', "", body)
    body = body.replace(
        '<div role="list" class="citation-list">', '<div class="citation-list">'
    )
    return body


def setup(app):
    """Register the theme."""
    app.add_html_theme("course", str(THEME))
    app.connect("html-page-context", fill, priority=800)
    app.connect(
        "html-collect-pages",
        lambda app: [("404", {"title": "No such page"}, "404.html")],
    )
