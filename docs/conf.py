"""Settings of the documentation build: `nox -s docs`."""

from importlib.metadata import version as installed

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "jogg-async"
author = "The jogg-async authors"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx names it so
release = version = installed(project)

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {release}"

myst_heading_anchors = 4
nitpicky = True


def setup(app: Sphinx) -> None:
    """Show Mermaid diagrams as their text; GitHub draws them."""
    app.add_lexer("mermaid", TextLexer)
