"""Settings of the documentation build: `nox -s docs`."""

from hashlib import sha256
from importlib.metadata import version as installed

import mermaidx
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

project = "jogg-async"
author = "The jogg-async authors"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx names it so
release = version = installed(project)

extensions = ["myst_nb"]
exclude_patterns = ["_build", "examples"]
html_theme = "furo"
html_title = f"{project} {release}"
html_extra_path = ["llms.txt"]
html_static_path = ["site.css"]
html_css_files = ["site.css"]

myst_heading_anchors = 4
nb_execution_mode = "off"  # the notebook is stored with its outputs; the session `notebook` runs it
nitpicky = True
smartquotes = False  # tables of errors quote code


class Diagrams(SphinxTransform):
    """Draw Mermaid blocks at build time, in light and dark, so that the page loads nothing from elsewhere."""

    default_priority = 200

    def apply(self) -> None:
        for block in list(self.document.findall(nodes.literal_block)):
            if block.get("language") == "mermaid":
                source = block.astext()
                drawn = (_diagram(source, theme, only) for theme, only in (("default", "light"), ("dark", "dark")))
                block.replace_self([nodes.raw("", html, format="html") for html in drawn])


def _diagram(source: str, theme: str, only: str) -> str:
    svg = mermaidx.render(f"%%{{init: {{'theme': '{theme}'}}}}%%\n{source}").svg()
    svg = svg.replace("my-svg", f"diagram-{sha256(source.encode()).hexdigest()[:8]}-{only}")  # an id, which styles name
    return f'<div class="diagram only-{only}">{svg}</div>'


def setup(app: Sphinx) -> None:
    app.add_transform(Diagrams)
