"""The panel of details: all that is known of one row, with its bytes."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text
from textual.containers import VerticalScroll
from textual.widgets import Static

from ..view.detail import Detail
from .words import milliseconds

__all__ = ["Details"]

#: Bytes of payload and frame that are shown.
_SHOWN = 4096


class Details(VerticalScroll, can_focus=True):
    """Title, facts, line of code, bytes."""

    def __init__(self) -> None:
        super().__init__(id="details")
        self._text = Static("Choose a line of the ladder and press Enter.", markup=False)
        self.compose_add_child(self._text)

    def show(self, detail: Detail) -> None:
        """Show a row."""
        text = Text()
        text.append(f"{detail.title}\n", "bold")
        text.append(f"{detail.table} {detail.row} at {milliseconds(detail.at_ns)} ms\n", "dim")
        for fact in detail.facts:
            text.append(f"{fact.name.ljust(20)} ", "dim")
            text.append(f"{fact.text}\n")
        if (place := detail.place) is not None:
            where = f"{place.file}:{place.line}" if place.line is not None else place.file
            text.append("line".ljust(21), "dim")
            text.append(f"{where} in {place.function or 'unknown'}" + (f" ({place.how})" if place.how else "") + "\n")
            if place.text:
                text.append(f"{'':21}{place.text}\n", "bold")
        for name, data, length in (
            ("payload", detail.payload, detail.length),
            ("frame", detail.frame, detail.frame_length or None),
        ):
            if length is None:
                continue
            kept = "" if len(data) >= length else f", {len(data)} kept"
            text.append(f"\n{name}: {length} bytes{kept}\n", "dim")
            for line in _dump(data[:_SHOWN]):
                text.append(line + "\n")
            if len(data) > _SHOWN:
                text.append(f"… {len(data) - _SHOWN} more\n", "dim")
        self._text.update(text)
        self.scroll_home(animate=False)


def _dump(data: bytes) -> Iterator[str]:
    """Bytes as hexadecimal digits and as text, sixteen in a line."""
    for start in range(0, len(data), 16):
        part = data[start : start + 16]
        digits = " ".join(f"{byte:02x}" for byte in part)
        shown = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in part)
        yield f"{start:04x}  {digits:47}  {shown}"
