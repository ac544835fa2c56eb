"""What the terminal can show."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TextIO

__all__ = ["Table", "has_colour", "is_live", "width", "wish"]


def wish() -> bool | None:
    """What the user wants of colours: none with NO_COLOR (no-color.org), always with FORCE_COLOR; ``None``: where it fits."""
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def has_colour(stream: TextIO | None = None) -> bool:
    """Whether to colour what goes to a stream (standard output without one): as the user wishes, else on a terminal."""
    wanted = wish()
    if wanted is not None:
        return wanted
    stream = stream or sys.stdout
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns to fill: the terminal's or COLUMNS, 120 for a pipe, at least 40."""
    return max(40, shutil.get_terminal_size((120, 24)).columns)


def is_live() -> bool:
    """Whether rows can be written anew: standard output is a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Table:
    """Rows at the bottom of a terminal that are written anew at each change."""

    def __init__(self) -> None:
        self._rows: list[str] = []

    def show(self, rows: list[str]) -> None:
        """Write these rows in place of those before; a row that is too wide is cut, since it would take two lines."""
        columns, lines = shutil.get_terminal_size((80, 24))
        # More than fit would scroll away, out of reach of the cursor: the newest stay.
        self._erase()
        self._rows = [row[: columns - 1] for row in rows][-(lines - 1) :]
        sys.stdout.write("".join(f"{row}\n" for row in self._rows))
        sys.stdout.flush()

    def above(self, line: str) -> None:
        """Write a line that stays, above the rows."""
        rows = self._rows
        self._erase()
        sys.stdout.write(f"{line}\n")
        self.show(rows)

    def _erase(self) -> None:
        if self._rows:
            # Up so many lines, to the first column, and clear to the end of the screen (ECMA-48: CPL, ED).
            sys.stdout.write(f"\x1b[{len(self._rows)}F\x1b[J")
        self._rows = []

    def close(self) -> None:
        """Leave the last rows where they are."""
        sys.stdout.flush()
        self._rows = []

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
