"""``wallsocket doctor``: what works here, what is refused, and by whom."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import click

from . import options, terminal

if TYPE_CHECKING:
    from ..doctor import Row

__all__ = ["command"]

_COLOURS = {"works": "green", "refused": "red", "missing": "yellow", "unknown": "yellow"}


@click.command("doctor")
@options.json
def command(as_json: bool) -> int:
    """Try every feature and say what works, what is refused, by which setting, and the line that allows it.

    Exit status: 0 when programs can be traced here, 1 when they cannot.
    """
    from .. import doctor

    rows: list[Row] = []
    seen: dict[str, str] = {}
    for row in doctor.examine():
        rows.append(row)
        if as_json:
            from ..trace.text import json_line

            click.echo(json_line(row))
        else:
            _print(row, seen)
    traces = doctor.can_trace(rows)
    refused = sum(row.status is doctor.Status.REFUSED for row in rows)
    if as_json:
        from ..trace.text import json_line

        click.echo(json_line({"summary": {"can_trace": traces, "refused": refused, "rows": len(rows)}}))
    else:
        click.echo()
        verdict = "Programs can be traced here." if traces else "Programs cannot be traced here: see the rows above."
        click.echo(f"{verdict} {refused} of {len(rows)} features {'is' if refused == 1 else 'are'} refused.")
    return 0 if traces else 1


def _print(row: Row, seen: dict[str, str]) -> None:
    status = row.status.value
    shown = click.style(f"{status:8}", fg=_COLOURS[status]) if terminal.has_colour(sys.stdout) else f"{status:8}"
    click.echo(f"{row.feature:18}{shown} {row.purpose}")
    if status == "works":
        return
    reason = row.refused_by or ("unknown" if status == "refused" else "")
    first = seen.setdefault(reason, row.feature)
    same = first != row.feature and bool(row.refused_by)
    indent = " " * 27
    for label, text in (
        ("seen", row.detail),
        ("refused by", f"the same as {first}" if same else reason),
        ("allow it", "" if same else row.allow),
        ("without it", row.without),
    ):
        if text:
            # A command stays on one line, so that it can be copied.
            lines = [text] if label == "allow it" else textwrap.wrap(text, max(40, terminal.width() - 40))
            click.echo(f"{indent}{label:11} " + f"\n{indent}{'':11} ".join(lines))
