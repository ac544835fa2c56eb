"""What the terminal can show."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TextIO

__all__ = ["has_colour", "width"]


def has_colour(stream: TextIO | None = None) -> bool:
    """Whether to colour: not where NO_COLOR is set (no-color.org), always with FORCE_COLOR, else on a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    stream = stream or sys.stdout
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns to fill: the terminal's or COLUMNS, 120 for a pipe, at least 40."""
    return max(40, shutil.get_terminal_size((120, 24)).columns)
