"""The files of the page."""

from __future__ import annotations

from functools import cache
from importlib import resources

__all__ = ["static_files"]


@cache
def static_files() -> dict[str, bytes]:
    """The page's files by name."""
    folder = resources.files(__package__) / "static"
    return {
        item.name: item.read_bytes() for item in sorted(folder.iterdir(), key=lambda item: item.name) if item.is_file()
    }
