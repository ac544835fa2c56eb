"""The little Markdown that lessons are written in, as data: for a page and for a file of HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

__all__ = ["Items", "Paragraph", "Part", "Span", "Table", "parts", "spans"]

_MARKS: Final = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<strong>.+?)\*\*|(?<!\w)\*(?!\s)(?P<emphasis>.+?)(?<!\s)\*(?!\w)", re.DOTALL
)


class Span(msgspec.Struct, frozen=True):
    """A piece of a line. ``kind``: ``text``, ``code``, ``strong`` or ``emphasis``."""

    kind: Literal["text", "code", "strong", "emphasis"]
    text: str


class Paragraph(msgspec.Struct, frozen=True, tag="paragraph"):
    """Lines that belong together."""

    spans: list[Span]


class Items(msgspec.Struct, frozen=True, tag="items"):
    """A list; ``ordered``: with numbers."""

    ordered: bool
    items: list[list[Span]]


class Table(msgspec.Struct, frozen=True, tag="table"):
    """A table with its headings."""

    head: list[list[Span]]
    rows: list[list[list[Span]]]


Part = Paragraph | Items | Table


def parts(text: str) -> Iterator[Part]:
    """The paragraphs, lists and tables of a text."""
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        lines = paragraph.splitlines()
        if not lines:
            continue
        if lines[0].startswith("|"):
            head, *rows = [_cells(line) for number, line in enumerate(lines) if number != 1 or line.strip("|-: ")]
            yield Table(head, rows)
        elif re.match(r"[-*] |\d+\. ", lines[0]):
            items = re.split(r"\n(?=[-*] |\d+\. )", paragraph)
            yield Items(lines[0][0] not in "-*", [spans(item.split(None, 1)[1]) for item in items])
        else:
            yield Paragraph(spans(paragraph))


def _cells(line: str) -> list[list[Span]]:
    return [spans(cell.strip()) for cell in line.strip().strip("|").split("|")]


def spans(text: str) -> list[Span]:
    """A line: code, strong, emphasis; everything else as it is."""
    found: list[Span] = []
    position = 0
    for mark in _MARKS.finditer(text):
        if mark.start() > position:
            found.append(Span("text", text[position : mark.start()]))
        kind = mark.lastgroup
        assert kind is not None
        found.append(Span(kind, mark[kind]))  # type: ignore[arg-type]  # the names of the groups
        position = mark.end()
    if position < len(text):
        found.append(Span("text", text[position:]))
    return found
