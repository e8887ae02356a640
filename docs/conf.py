"""The documentation as a site: `sphinx-build -W docs DIR`, or `bash .ci/docs`."""

import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import kd_jax

project = "kd_jax"
author = "The kd_jax authors"
copyright = author  # noqa: A001 - Sphinx's name for it
version = release = kd_jax.__version__

extensions = [
    "myst_parser",  # pages are Markdown, as GitHub shows them too
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # Google's style of docstrings
    "sphinx.ext.viewcode",
    "from_code",  # reference pages that are written from the code: settings, commands, files
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
default_role = "code"  # docstrings write `name`

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # shapes such as "*tokens K" are no markup
add_module_names = False
python_display_short_literal_types = True
maximum_signature_line_length = 88

html_theme = "furo"
html_title = "kd_jax"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "top_of_page_buttons": [],
    "light_css_variables": {"color-brand-primary": "#0b63ad", "color-brand-content": "#0b63ad"},
    "dark_css_variables": {"color-brand-primary": "#7cc0ff", "color-brand-content": "#7cc0ff"},
}
html_show_sphinx = False
html_copy_source = False


def as_written(_: Sphinx, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Show flags as code, and keep napoleon from reading the sentence of a property as a type where it has a colon."""
    lines[:] = [re.sub(r"(?<![`\w])(--\w[\w=-]*)", r"``\1``", line) for line in lines]
    if what in {"property", "attribute"} and lines:
        lines[0] = lines[0].replace(": ", " – ", 1)


def is_field(_: Sphinx, _what: str, _name: str, obj: Any, skip: bool, _options: Any) -> bool | None:
    """Leave out the fields of tuples, which their class describes."""
    return True if skip or type(obj).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> None:
    """Connect both, before napoleon."""
    app.connect("autodoc-process-docstring", as_written, priority=400)
    app.connect("autodoc-skip-member", is_field)
