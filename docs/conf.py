"""How is the documentation built? `sphinx-build docs docs/_build` with the extra `docs`."""

from importlib.metadata import version as installed_version

project = "approx"
author = "The approx founders"
version = release = installed_version("approx")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
html_theme = "furo"
html_title = "approx"
exclude_patterns = ["_build"]
autodoc_typehints = "description"
