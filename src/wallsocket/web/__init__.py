"""The page: a recording in the browser, live, or as one file. The server needs the extra ``wallsocket[web]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .export import html
    from .server import Page
    from .workshop import Workshop

__all__ = ["Page", "Workshop", "html"]


def __getattr__(name: str) -> Any:
    # A file is written without the extra that the server needs.
    if name == "Page":
        from .server import Page

        return Page
    if name == "Workshop":
        from .workshop import Workshop

        return Workshop
    if name == "html":
        from .export import html

        return html
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
