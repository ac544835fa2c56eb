"""Settings of the documentation build (`make docs`)."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

project = "Wallsocket"
author = "The Wallsocket authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Wallsocket"
html_static_path = ["_static"]
html_css_files = ["wallsocket.css"]
html_favicon = "_static/icon.svg"
html_search_scorer = str(Path(__file__).with_name("search.js"))
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
# Consoles are shown as they are; `console` would colour what the commands print as if it were code.
highlight_language = "text"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
add_module_names = False
napoleon_include_init_with_doc = False
# Names in types that have no page of their own, and those that several modules have: types are written as they are imported.
nitpicky = False
suppress_warnings = ["ref.python"]
if os.environ.get("WALLSOCKET_DOCS") == "pages":
    # Without the reference, for who looks at the pages alone.
    exclude_patterns.append("reference")
else:
    # Names that a module loads when they are used are looked for in what is loaded.
    for _name in ("kernel", "lab", "trace", "wire"):
        _module = importlib.import_module(f"wallsocket.{_name}")
        for _one in _module.__all__:
            setattr(_module, _one, getattr(_module, _one))


def setup(app: Any) -> dict[str, bool]:
    """What the theme leaves out for people who use keys or a screen reader; tests/docs/test_site.py asks a checker."""
    app.connect("build-finished", _complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


#: Headings in the navigation have a level, what scrolls can be scrolled by keys, and the two columns have names.
_COMPLETED = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Pages">',
    '<aside class="toc-drawer': '<aside aria-label="On this page" class="toc-drawer',
}


def _complete(app: Any, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for left, completed in _COMPLETED.items():
            text = text.replace(left, completed)
        path.write_text(text, encoding="utf-8")
