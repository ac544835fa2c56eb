"""Settings of the documentation build (`make docs`)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

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
# Names in types that have no page of their own.
nitpicky = False
if os.environ.get("WALLSOCKET_DOCS") == "pages":
    # Without the reference, for who looks at the pages alone.
    exclude_patterns.append("reference")
