"""The theme `course`: what its one layout shows around the text of a page."""

import html
import re
import zlib
from pathlib import Path

import yaml
from docutils import nodes

from course.paths import root
from course.site import map, search

STATIC = Path(__file__).parent / "static"
THEME = Path(__file__).parent / "theme"

# What the body of a page has, and what stands there instead.
PLAIN = "n|p|o|w|nn|nb|bp|ne|na|nt|nl|nv|vm|gp|go"  # tokens coloured as text is
LIGHTER = [
    (rf'<span class="(?:{PLAIN})">([^<]*)</span>', r"\1"),
    (r"<pre><span></span>", "<pre>"),
    (r' class="tex2jax_ignore mathjax_ignore"', ""),
    # Every table scrolls by itself, with or without the box that Jupyter Book's own
    # theme puts around it.
    (r"(?s)<table.*?</table>", r'<div class="table">\g<0></div>'),
    # Roles that no longer exist, and a list whose entries are none.
    (r' role="doc-(?:biblioentry|noteref)"', ""),
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
]
SIDES = ("width", "height")


class Page(dict):
    """What the layout shows of a page; what is not there is shown as nothing."""

    __getattr__ = dict.get


def fill(app, pagename, templatename, context, doctree):
    """Give the layout what it needs, and make the page light."""
    pathto, base = context["pathto"], ""
    if pagename == "404":
        # A host shows this page at any address: its links start at the site's own.
        base = app.config.html_baseurl or "/"
        context["pathto"] = lambda *place: base + pathto(*place)

    def asset(name: str) -> str:
        """The address of a static file, another one when the file changes."""
        file = STATIC / name
        digest = f"?v={zlib.crc32(file.read_bytes()):08x}" if file.is_file() else ""
        return context["pathto"](f"_static/{name}", 1) + digest

    body = context.get("body", "")
    context["body"] = light(body, sizes(app, doctree))
    context["asset"] = asset
    context["page"] = Page(
        math='class="katex' in body,
        contents=contents(context).replace('href="', f'href="{base}'),
        headings=headings(app, context.get("toc") or ""),
        place=place(app, pagename, context["pathto"]),
        description=description(doctree) or app.config.html_title,
        links=links(app, pagename, context),
        citation=citation(context, pagename) if doctree else "",
    )


# ---- The frame of a page


def contents(context) -> str:
    """The table of contents: a part each that opens, this page's part open."""
    tree = context["toctree"](collapse=True, maxdepth=3, includehidden=True) or ""
    tree = re.sub(r' class="current reference[^"]*"', ' aria-current="page"', tree)
    parts = re.split(r"<p[^>]*><span[^>]*>(.*?)</span></p>", tree)
    shown = parts[:1]
    for name, pages in zip(parts[1::2], parts[2::2]):
        now = " open" if "current" in pages else ""
        shown.append(f"<details{now}><summary>{name}</summary>{pages}</details>")
    return re.sub(r' class="[^"]*"', "", "".join(shown))


def headings(app, toc: str) -> str:
    """The headings of a page without its title; nothing where there are few."""

    def named(match):
        """The name of a page where a heading is a link to it."""
        title = app.env.titles.get(f"book/{match[1]}")
        return f">{html.escape(title.astext())}</a>" if title else match[0]

    inner = re.search(r"</a>\s*(<ul>.*</ul>)\s*</li>\s*</ul>", toc, re.S)
    if inner is None or inner[1].count("<li>") < 3:
        return ""
    return re.sub(r">([\w/]+)</a>", named, re.sub(r' class="[^"]*"', "", inner[1]))


def place(app, pagename: str, pathto) -> str:
    """The part of a chapter and what it builds on; of an exercise page, its chapter."""

    def linked(page: str) -> str:
        title = html.escape(app.env.titles[page].astext())
        return f'<a href="{pathto(page)}">{title}</a>'

    if pagename.startswith("exercises/"):
        return f"Chapter: {linked(pagename.replace('exercises', 'book', 1))}"
    lesson = pagename.removeprefix("book/")
    if not (root() / map.FILE).is_file() or lesson not in map.lessons():
        return ""
    here = map.lessons()[lesson]
    part = [path for path, each in map.lessons().items() if each.part == here.part]
    text = f"{html.escape(here.part)} · lesson {part.index(lesson) + 1} of {len(part)}"
    needs = ", ".join(linked(f"book/{path}") for path in here.needs)
    return f"{text} · builds on {needs}" if needs else text


def description(doctree) -> str:
    """For search engines: a chapter's claim, which is in bold, or how a page starts."""
    if doctree is None:
        return ""
    paragraphs = list(doctree.findall(nodes.paragraph))
    claims = [p for p in paragraphs[:4] if p.children and p.next_node(nodes.strong)]
    text = next((node.astext() for node in claims + paragraphs), "")
    text = " ".join(text.split())
    return text if len(text) < 160 else text[:157].rsplit(" ", 1)[0] + " …"


def links(app, pagename: str, context) -> list[tuple[str, str]]:
    """Where the source of a page is and, if the repository is known, where to say that
    something is wrong and where to run a notebook."""
    if "sourcename" not in context:
        return []
    source = context["pathto"](f"_sources/{context['sourcename']}", 1)
    found = [("Source of this page", source)]
    options = app.config.html_theme_options
    url = options.get("repository_url", "").rstrip("/")
    if not url:
        return found
    branch = options["repository_branch"]
    path = Path(app.env.doc2path(pagename)).relative_to(app.srcdir).as_posix()
    found += [
        ("In the repository", f"{url}/blob/{branch}/{path}"),
        ("Report a mistake", f"{url}/issues/new?title={pagename}"),
    ]
    hub = (options.get("launch_buttons") or {}).get("binderhub_url", "").rstrip("/")
    if hub and pagename.startswith("exercises/"):
        owner = "/".join(url.split("/")[-2:])
        start = f"{hub}/v2/gh/{owner}/{branch}?urlpath=lab/tree/{path}"
        found.append(("Open in Binder", start))
    return found


def citation(context, pagename: str) -> str:
    """BibTeX for a page, from CITATION.cff."""
    file = root() / "CITATION.cff"
    if not file.is_file():
        return ""
    about = yaml.safe_load(file.read_text(encoding="utf-8"))
    name = pagename.removeprefix("book/").replace("/", ":")
    fields = {
        "author": " and ".join(f"{{{author['name']}}}" for author in about["authors"]),
        "title": html.unescape(re.sub("<[^>]+>", "", context["title"])),
        "howpublished": f"{about['title']}, version {about['version']}",
        "year": context["copyright"],
        "url": context.get("pageurl"),
    }
    lines = [f"  {key} = {{{value}}}," for key, value in fields.items() if value]
    return "\n".join([f"@misc{{runnable:{name},", *lines, "}"])


# ---- The weight of a page


def sizes(app, doctree) -> dict[str, list[str]]:
    """Width and height of the drawings of a page, by file name, in pixels."""
    found = {}
    for node in doctree.findall(nodes.image) if doctree else ():
        name = app.builder.images.get(node["uri"])
        if name is None or not name.endswith(".svg"):
            continue
        with open(app.srcdir / node["uri"], encoding="utf-8") as file:
            head = file.read(2000)
        points = [re.search(rf'<svg[^>]* {side}="([\d.]+)pt"', head) for side in SIDES]
        if all(points):
            found[name] = [f"{float(size[1]) * 4 / 3:.0f}" for size in points]
    return found


def light(body: str, size: dict[str, list[str]]) -> str:
    """The text of a page without tags that change nothing. Figures come when they are
    near, and hold their place until then."""

    def image(match):
        name = re.search(r'src="[^"]*_images/([^"]+)"', match[0])[1]
        more = ' loading="lazy" decoding="async"'
        if name in size:
            more += ' width="{}" height="{}"'.format(*size[name])
        return match[0].replace("<img", f"<img{more}", 1)

    for pattern, new in LIGHTER:
        body = re.sub(pattern, new, body)
    return re.sub(r'<img [^>]*src="[^"]*_images/[^>]*>', image, body)


def tidy(app, exception):
    """Take away from the site the scripts and styles of Sphinx and its extensions, and
    what only the build needs: no page loads them."""
    build = {"katex/katex.min.js", "katex/README.md"}
    ours = {file.relative_to(STATIC).as_posix() for file in STATIC.rglob("*")} - build
    placed = Path(app.outdir) / "_static"
    for file in sorted(placed.rglob("*"), reverse=True):
        if file.relative_to(placed).as_posix() in {*ours, search.INDEX}:
            continue
        file.rmdir() if file.is_dir() else file.unlink()


def setup(app):
    """Register the theme."""
    missing = ("404", {"title": "No such page"}, "404.html")
    app.add_html_theme("course", str(THEME))
    app.connect("html-page-context", fill, priority=800)
    app.connect("html-collect-pages", lambda app: [missing])
    app.connect("build-finished", tidy)
