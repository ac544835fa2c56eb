"""``trace --live``: a line for each call, as it returns, on stderr."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from ..events import Call, Known, Source
from .calls import CallText
from .text import escape

__all__ = ["Printer"]


class Printer:
    """Prints calls from the rows that the recorder gets."""

    def __init__(self, output: TextIO | None = None, *, payload_bytes: int = 32) -> None:
        self._output = sys.stderr if output is None else output
        self._text = CallText(platform.machine(), payload_bytes=payload_bytes)
        self._lines: dict[int, str] = {}

    def print_rows(self, tables: Mapping[str, list[tuple[Any, ...]]]) -> None:
        """Takes a batch of rows, tables as in ``schema.sql``."""
        for number, file, line, function in tables.get("source", ()):
            source = Source(number, file, line, function)
            name = os.path.basename(file) if file is not None else source.name or ""
            place = f"{name}:{line}" if line is not None else name
            if source.begins and file is not None:
                place = f"{source.name} ({place})"
            self._lines[number] = escape(place)
        for row in tables.get("call", ()):
            call = Call(*row)
            line = f"{call.entry_ns / 1e9:11.6f} {call.tid:>7} {self._text.full(call)}"
            took = f" <{call.took_ns / 1e9:.6f}>" if call.took_ns is not None else ""
            print(f"{line}{took}{self._place(call)}", file=self._output)
        self._output.flush()

    def _place(self, call: Call) -> str:
        place = self._lines.get(call.source) if call.source is not None else None
        if place is None:
            return ""
        how = "" if call.known == Known.DIRECT else f" ({Known(call.known).name.lower()})"
        return f"  {place}{how}"
