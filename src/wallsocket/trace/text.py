"""Text for a terminal: made harmless, measured, fitted, coloured.

Names, addresses and payload come from recordings and from the network. A terminal obeys control characters, and
shows text in another order after a bidirectional one; neither may reach it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import msgspec

__all__ = ["Style", "column_width", "escape", "fit", "json_line", "pad", "paint", "printable_payload", "wrap"]


class Style(Enum):
    """What a piece of text means; the value is its SGR parameter (ECMA-48, 8.3.117)."""

    PLAIN = ""
    DIM = "2"
    BOLD = "1"
    ERROR = "31"
    GOOD = "32"
    WARNING = "33"
    SEND = "36"
    RECEIVE = "35"


#: Every character that may need an escape.
_NOT_PLAIN: Final = re.compile(r"[^\x00-\x7e]")

#: Kept as they are though Python calls them not printable: the no-break spaces.
_PLAIN_SPACES: Final = {"\u00a0": " ", "\u202f": " "}


@lru_cache(maxsize=4096)
def escape(text: str) -> str:
    r"""``text`` with everything that a terminal would obey, reorder or hide written as an escape like ``\x1b``.

    What `str.isprintable` refuses is escaped: control, format (bidirectional, zero-width), surrogate, private-use and
    unassigned characters, and separators other than the space. Combining marks stay, at most two on a character.
    """
    if text.isascii() and text.isprintable():
        return text
    out: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if character in _PLAIN_SPACES:
            out.append(_PLAIN_SPACES[character])
        elif marks > 2 or not character.isprintable():
            out.append(character.encode("unicode_escape").decode("ascii"))
        else:
            out.append(character)
    return "".join(out)


def json_line(value: object) -> bytes:
    r"""``value`` as JSON in one line, without the line's end; what `escape` would write as an escape is one of JSON's, ``\u202e``.

    A program that reads it gets the text as it was; a terminal that shows it does not obey it.
    """
    encoded = _encoder().encode(value)
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded
    # Characters that are not printable stand inside of strings only: around them JSON is ASCII.
    return _NOT_PLAIN.sub(_json_escape, encoded.decode()).encode()


@cache
def _encoder() -> msgspec.json.Encoder:
    import msgspec

    return msgspec.json.Encoder()


def _json_escape(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable() or character in _PLAIN_SPACES:
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def printable_payload(data: bytes, *, limit: int, total: int | None = None) -> str:
    """The first ``limit`` bytes in quotes as Python and C write them, ``…`` after it when ``total`` is more."""
    shown = data[:limit]
    text = "".join(_BYTES[byte] for byte in shown)
    more = "…" if max(len(data), total or 0) > len(shown) else ""
    return f'"{text}"{more}'


def _byte(value: int) -> str:
    named = {9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 92: "\\\\"}
    if value in named:
        return named[value]
    return chr(value) if 32 <= value < 127 else f"\\x{value:02x}"


_BYTES: Final = tuple(_byte(value) for value in range(256))


def column_width(text: str) -> int:
    """Columns that ``text`` takes on a terminal: two for wide characters, none for combining marks (UAX #11)."""
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def fit(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns, its end replaced by ``…`` where it is longer."""
    if column_width(text) <= width:
        return text
    return text[: _cut(text, width - 1)] + "…" if width > 0 else ""


def _cut(text: str, width: int) -> int:
    """How many characters of ``text`` fit into ``width`` columns."""
    used = 0
    for index, character in enumerate(text):
        used += _character_width(character)
        if used > width:
            return index
    return len(text)


def pad(text: str, width: int) -> str:
    """``text`` cut or filled with spaces to exactly ``width`` columns."""
    text = fit(text, width)
    return text + " " * (width - column_width(text))


def wrap(words: Iterable[str], width: int, indent: str = "") -> list[str]:
    """Words set in lines of at most ``width`` columns; a word that is wider than a line is broken."""
    lines: list[str] = []
    line, used = "", 0
    for word in words:
        columns = column_width(word)
        if line and used + 1 + columns > width:
            lines.append(line)
            line, used = "", 0
        if line:
            line, used = f"{line} {word}", used + 1 + columns
        else:
            line = indent + word if lines else word
            used = columns + (len(indent) if lines else 0)
        if used > width > len(indent) + 2:
            *whole, line = _broken(line, width, indent)
            lines += whole
            used = column_width(line)
    return [*lines, line] if line else lines


def _broken(line: str, width: int, indent: str) -> Iterator[str]:
    """A line in pieces of ``width`` columns; looks at no more of it at a time than a piece can need."""
    start, lead = 0, ""
    while True:
        ahead = line[start : start + 3 * width]
        end = start + _cut(ahead, width - len(lead))
        if end >= len(line):
            yield lead + line[start:]
            return
        # An address is whole behind a bracket rather than in two pieces.
        behind = line.rfind("(", start, end) + 1
        rest = len(line) - behind
        if behind > start + 1 and rest <= 2 * width and column_width(line[behind:]) <= width - len(indent):
            end = behind
        yield lead + line[start:end]
        start, lead = end, indent


def paint(text: str, style: Style, *, colour: bool) -> str:
    """``text`` in the colours of its meaning, or as it is."""
    if not colour or style is Style.PLAIN or not text:
        return text
    return f"\x1b[{style.value}m{text}\x1b[0m"
