"""HTML for notebooks: what ``_repr_html_`` of our objects is made of. No script, no style from elsewhere, all text escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["card", "escape", "lines", "table"]

#: Colours that are read on light and on dark pages.
_EDGES: Final = {"error": "#c62828", "warning": "#b26a00", "note": "#2a6fb0"}
#: Controls, and what turns the direction of text round, are shown as they are written in Python.
_INERT: Final = {
    **{number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160)) if number not in (9, 10)},
    **{
        number: f"\\u{number:04x}"
        for number in (*range(0x200E, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    },
}


def escape(text: object) -> str:
    """Text as HTML shows it: nothing of it is markup, controls are written out."""
    return html.escape(str(text).translate(_INERT))


def lines(text: str) -> str:
    """Text whose columns matter."""
    return f'<pre style="line-height:1.3;overflow-x:auto">{escape(text)}</pre>'


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; cells are text."""
    top = "".join(f'<th style="text-align:left">{escape(name)}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def card(title: str, facts: Iterable[tuple[str, str]], *, severity: str = "note") -> str:
    """A heading and facts under it, each with its name; facts without text are left out."""
    rows = "".join(
        f'<dt style="opacity:0.7">{escape(name)}</dt><dd style="margin:0 0 0.3em 1.5em">{escape(text)}</dd>'
        for name, text in facts
        if text
    )
    edge = _EDGES.get(severity, _EDGES["note"])
    return (
        f'<div style="border-left:4px solid {edge};padding:0.2em 0.8em;margin:0.4em 0">'
        f'<strong>{escape(title)}</strong><dl style="margin:0.3em 0">{rows}</dl></div>'
    )
