"""Settings of the documentation build: `nox -s docs`."""

from importlib.metadata import version as installed

project = "jogg-async"
author = "The jogg-async authors"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx names it so
release = version = installed(project)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
default_role = "code"  # docstrings quote names with single backticks
html_theme = "furo"
html_title = f"{project} {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

napoleon_numpy_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_default_options = {"members": True, "show-inheritance": True}

nitpicky = True
# Other projects' names cannot be looked up without a network; ours must resolve, and they all start alike.
nitpick_ignore_regex = [(r"py:.*", r"(?!jogg_async).*")]
