"""Text for the screen: parts of views in one line of a given width, with their colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.text import Text

from ..trace.lines import Arrow, Line, Part, PartKind
from ..trace.text import column_width, fit
from ..trace.verdict import amount, duration
from ..view.ladder import Group, Rung

__all__ = ["SEVERITIES", "heads", "ladder_line", "milliseconds", "plain"]

#: Colours that both light and dark terminals show: the sixteen that the user has chosen.
SEVERITIES: Final = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_PARTS: Final[dict[PartKind, str]] = {
    "source": "dim",
    "call": "",
    "failed": "red",
    "time": "dim",
    "waiting": "yellow",
    "state": "green",
    "queue": "dim",
    "unread": "yellow",
    "end": "dim",
}
#: Columns for the time, and for what travels: enough for "9999 bytes" with its arrow.
_TIME: Final = 9
_WIRE: Final = 16


def plain(text: str, style: str = "") -> Text:
    """Text in which nothing is taken for markup, in one line."""
    return Text(text, style=style, no_wrap=True, end="")


def milliseconds(at_ns: int) -> str:
    """A time as the ladder has it."""
    return f"{at_ns / 1e6:.3f}"


def _rail_width(width: int, *, two: bool, wire: bool) -> int:
    """Columns of a rail on a screen of so many columns."""
    rest = width - _TIME - 1 - (_WIRE + 1 if wire else 0)
    return max(8, (rest - 1) // 2 if two else rest)


def heads(left: str, right: str | None, width: int, *, wire: bool) -> Text:
    """Who stands on the rails, above a ladder's lines."""
    rail = _rail_width(width, two=right is not None, wire=wire)
    words = ["ms".rjust(_TIME), fit(left, rail).ljust(rail)]
    if wire:
        words.append("wire".center(_WIRE))
    if right is not None:
        words.append(fit(right, rail))
    return plain(" ".join(words))


def ladder_line(rung: Rung, width: int, *, two: bool, wire: bool) -> Text:
    """A line of a ladder, or a group of lines, in one line of the screen."""
    rail = _rail_width(width, two=two, wire=wire)
    if rung.group is not None:
        return _group(rung.group, width)
    line = rung.line
    assert line is not None
    text = Text(no_wrap=True, end="")
    if line.note:
        text.append(" " * (_TIME + 1))
        note = line.note + (f" · {amount(rung.meanwhile, 'call')} of other sockets" if rung.meanwhile else "")
        text.append(note, "dim")
        text.truncate(width, overflow="ellipsis", pad=True)
        return text
    text.append(milliseconds(line.at_ns).rjust(_TIME), "dim")
    text.append(" ")
    text.append_text(_cell(line.left, line.times, rail))
    if wire:
        text.append(" ")
        text.append_text(_arrow(line))
    if two or wire:
        text.append(" ")
        text.append_text(_cell(line.right, line.times, rail))
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def _cell(parts: Sequence[Part], times: int, width: int) -> Text:
    text = Text(no_wrap=True, end="")
    for part in parts:
        if text:
            text.append(" ")
        text.append(f"[{part.text}]" if part.inferred else part.text, _PARTS[part.kind])
    if parts and times > 1:
        text.append(f"  ×{times}", "dim")
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def _arrow(line: Line) -> Text:
    arrow = line.arrow
    if arrow is None:
        return Text(" " * _WIRE, no_wrap=True, end="")
    room = _WIRE - 4
    label = Text(arrow.text, no_wrap=True, end="")
    label.truncate(room, overflow="ellipsis")
    filled = _WIRE - 3 - column_width(label.plain)
    before, after = "─" * (filled // 2), "─" * (filled - filled // 2)
    drawn = f"{before} {label.plain} {after}▶" if line.side == "left" else f"◀{before} {label.plain} {after}"
    return Text(drawn, style=_style(arrow, line.side), no_wrap=True, end="")


def _style(arrow: Arrow, side: str) -> str:
    if arrow.failure:
        return "red"
    if arrow.again or arrow.stalled:
        return "yellow"
    return "blue" if side == "left" else "magenta"


def _group(group: Group, width: int) -> Text:
    text = Text(no_wrap=True, end="")
    text.append(milliseconds(group.at_ns).rjust(_TIME), "dim")
    text.append("  ")
    words: list[tuple[str, str]] = [(amount(group.lines, "line"), "")]
    if group.calls:
        words.append((amount(group.calls, "call"), ""))
    if group.failed:
        words.append((f"{group.failed} failed", "red"))
    if group.segments:
        words.append((amount(group.segments, "segment"), ""))
    if group.again:
        words.append((f"{group.again} again", "yellow"))
    if group.failures:
        words.append((f"{group.failures} resets or errors" if group.failures > 1 else "1 reset or error", "red"))
    words.extend((f"{sent} bytes {arrow}", "") for sent, arrow in ((group.to_right, "→"), (group.to_left, "←")) if sent)
    if group.idle_ns:
        words.append((f"{duration(group.idle_ns)} idle", "dim"))
    words.extend((state, "green") for state in group.states if state)
    text.append_text(_joined(words))
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def _joined(words: Iterable[tuple[str, str]]) -> Text:
    text = Text(no_wrap=True, end="")
    for word, style in words:
        if text:
            text.append(" · ", "dim")
        text.append(word, style)
    return text
