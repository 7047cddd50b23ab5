"""Exercises on the site: cards in a chapter, and a page for each learner's notebook.

The page is the committed notebook itself, `exercises/<part>/<lesson>.ipynb`, which
holds no solution and no hidden test. It stands below its chapter in the table of
contents, without a line in `_toc.yml`, and is never executed.
"""

import json
import re

from sphinx_external_toc.api import Document, FileItem, TocTree

from course.paths import CourseError, root
from course.site.parsing import GeneratedDirective

# Below the title of a notebook's page.
HEAD = """{points} points in {tasks} tasks · about {minutes} minutes

This is what the notebook holds: what is asked, where to write it, and the visible
tests, which say what is wrong. When it is graded, hidden tests decide. For a copy of
your own, in the folder of the course ({{doc}}`set it up once </book/how_to_use>`):

```sh
course start {lesson}
jupyter lab work/{lesson}.ipynb
course check {lesson}
```

Or take the {{download}}`notebook alone <{name}.ipynb>`; `course check` works on it
wherever you put it."""


def add_pages(app, config):
    """Enter the notebook of each chapter into the table of contents, below it."""
    site = config.external_site_map
    found = set()
    for name in list(site):
        page = f"exercises/{name.removeprefix('book/')}"
        if (root() / f"{page}.ipynb").is_file():
            site[page] = Document(page, [], "Exercises")
            site[name].subtrees.append(TocTree([FileItem(page)]))
            found.add(f"{page}.ipynb")
    config.exclude_patterns = [
        pattern for pattern in config.exclude_patterns if pattern not in found
    ]


def prepare(app, docname, source):
    """A learner's notebook as its page shows it: a head, tests folded, and a place to
    point at for each task."""
    if not docname.startswith("exercises/"):
        return
    lesson = docname.removeprefix("exercises/")
    notebook = json.loads(source[0])
    answers = points = minutes = 0
    text = None  # the cell with the heading of the next answer cell
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            if re.search("^## ", "".join(cell["source"]), re.M):
                text = cell
            continue
        graded = cell["metadata"].get("nbgrader", {})
        if graded.get("solution"):
            answers += 1
            minutes += cell["metadata"]["course"]["minutes"]
            label = f"({lesson}/{graded['grade_id']})=\n"
            words = "".join(text["source"])
            text["source"] = re.sub("^## ", rf"{label}## ", words, count=1, flags=re.M)
        if graded.get("grade"):
            worth = graded["points"]
            points += worth
            plural = "point" if worth == 1 else "points"
            cell["metadata"]["tags"] = ["hide-input"]
            cell["metadata"]["mystnb"] = {
                "code_prompt_show": f"Visible tests ({worth} {plural})",
                "code_prompt_hide": f"Visible tests ({worth} {plural})",
            }
    first = notebook["cells"][0]
    title, _, rest = "".join(first["source"]).partition("\n")
    title = re.sub("^# (Exercises: )?", "# Exercises: ", title)
    head = HEAD.format(
        lesson=lesson,
        name=lesson.split("/")[1],
        points=points,
        tasks=answers,
        minutes=minutes,
    )
    first["source"] = f"{title}\n\n{head}\n{rest}"
    source[0] = json.dumps(notebook)


class Exercises(GeneratedDirective):
    """```{exercises} part/lesson```: the cards, from the exercise source."""

    required_arguments = 1

    def run(self):
        from course.exercises.source import read

        lesson = self.arguments[0]
        try:
            source = read(lesson)
        except CourseError as error:
            raise self.error(str(error)) from None
        self.env.note_dependency(str(source.path))
        lines = ["::::{grid} 1 1 2 2", ":gutter: 3", ""]
        for number, task in enumerate(source.tasks, start=1):
            points = "1 point" if task.points == 1 else f"{task.points} points"
            level = "●" * task.difficulty + "○" * (5 - task.difficulty)
            lines += [
                f":::{{grid-item-card}} {number} · {task.title}",
                f":link: {lesson}/{task.name}",
                ":link-type: ref",
                "",
                f"{points} · about {task.minutes} minutes · {task.device.upper()}",
                "",
                f"difficulty {task.difficulty} of 5 {level}",
                ":::",
            ]
        lines += [
            "::::",
            "",
            f"{{doc}}`Read them here </exercises/{lesson}>`, and work on a copy of",
            f"your own: `course start {lesson}`, then `course check {lesson}`",
            "as often as you like; or take the",
            f"{{download}}`notebook </exercises/{lesson}.ipynb>`.",
        ]
        return self.parsed(lines)


def setup(app):
    """Register the directive and the pages."""
    app.add_directive("exercises", Exercises)
    # After the table of contents was read (900).
    app.connect("config-inited", add_pages, priority=950)
    app.connect("source-read", prepare)
