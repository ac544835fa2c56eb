"""The page: a recording in the browser, live. Needs the extra ``wallsocket[web]``."""

from __future__ import annotations

from .server import Page

__all__ = ["Page"]
