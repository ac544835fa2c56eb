"""``wallsocket show``: a recording as a ladder, as calls, as states, as packets, as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from . import options, terminal

if TYPE_CHECKING:
    from ..trace.recording import Recording
    from ..trace.timeline import Timeline

__all__ = ["command"]

#: Rows drawn at each end of a long conversation, and conversations drawn, unless all are asked for.
_ROWS: Final = 30
_LADDERS: Final = 12
_SUMMARIES: Final = 40


@click.command()
@options.recording
@click.option("--calls", "view", flag_value="calls", help="A line per call.")
@click.option("--states", "view", flag_value="states", help="The path of each socket through the states.")
@click.option("--packets", "view", flag_value="packets", help="A line per packet.")
@options.json
@click.option("--socket", type=click.IntRange(min=1), metavar="N", help="Only this socket and its peer.")
@click.option("--from", "from_s", type=options.DURATION, metavar="TIME", help="From this time on, such as 250ms.")
@click.option("--to", "to_s", type=options.DURATION, metavar="TIME", help="Up to this time.")
@click.option(
    "--all", "everything", is_flag=True, help="Leave nothing out: every call, socket, signal and acknowledgement."
)
@click.option("--follow", is_flag=True, help="With --json: go on while the recording grows.")
def command(
    recording: Path | None,
    view: str | None,
    as_json: bool,
    socket: int | None,
    from_s: float | None,
    to_s: float | None,
    everything: bool,
    follow: bool,
) -> None:
    """Show what RECORDING holds; the newest one when none is named.

    \b
    In the ladder, calls stand on the outer rails with their lines of code, and
    what travelled stands between. [BRACKETS]: nobody reported it, it follows
    from calls and segments.
    """
    if as_json and view is not None:
        raise click.UsageError(f"--json and --{view} exclude each other")
    if follow and not as_json:
        raise click.UsageError("--follow needs --json")
    with options.open_recording(recording) as opened:
        if as_json:
            timeline = None if follow else _timeline(opened, socket, _ns(from_s), _ns(to_s), everything=everything)
            _write_json(opened, timeline)
        else:
            _write(_lines(opened, view, socket, _ns(from_s), _ns(to_s), everything=everything))


def _ns(time_s: float | None) -> int | None:
    return None if time_s is None else round(time_s * 1_000_000_000)


def _lines(
    recording: Recording,
    view: str | None,
    socket: int | None,
    since_ns: int | None,
    until_ns: int | None,
    *,
    everything: bool,
) -> Iterator[str]:
    from ..trace import views
    from ..trace.ladder import Ladder, header
    from ..trace.wire import summary

    colour = terminal.has_colour()
    _check_socket(recording, socket)
    if view == "calls":
        payload_bytes = 1 << 20 if everything else 32
        yield from views.call_lines(
            recording,
            colour=colour,
            payload_bytes=payload_bytes,
            socket=socket,
            since_ns=since_ns,
            until_ns=until_ns,
            every_mark=everything,
        )
        return
    if view == "packets":
        yield from views.packet_lines(recording, summary, since_ns=since_ns, until_ns=until_ns)
        return
    timeline = _timeline(recording, socket, since_ns, until_ns, everything=everything)
    if view == "states":
        yield from views.state_lines(timeline, colour=colour)
        return
    yield from header(timeline, colour=colour)
    ladder = Ladder(timeline, width=terminal.width(), colour=colour)
    wanted = timeline.wanted()
    if everything or socket is not None:
        drawn = wanted
    else:
        drawn = [conversation for conversation in wanted if timeline.says_much(conversation)][:_LADDERS]
    for conversation in drawn:
        yield ""
        yield from ladder.draw(conversation)
    if timeline.failed_alone and socket is None:
        yield ""
        failed = list(ladder.failed_alone())
        yield from failed if everything else failed[:_SUMMARIES]
        if len(failed) > _SUMMARIES and not everything:
            yield f"… {len(failed) - _SUMMARIES} more calls that failed without a socket; --all tells them"
    shown = {conversation.number for conversation in drawn}
    rest = [conversation for conversation in wanted if conversation.number not in shown]
    if rest:
        yield ""
        brief = list(ladder.summary(rest))
        yield from brief[:_SUMMARIES]
        if len(brief) > _SUMMARIES:
            yield f"… {len(brief) - _SUMMARIES} more; --all draws everything, --socket N one of them"
    if not wanted:
        yield "No sockets were recorded."


def _check_socket(recording: Recording, socket: int | None) -> None:
    if socket is not None and socket not in recording.sockets:
        raise click.UsageError(f"the recording has no socket {socket}; --states lists them")


def _timeline(
    recording: Recording, socket: int | None, since_ns: int | None, until_ns: int | None, *, everything: bool
) -> Timeline:
    from ..trace.timeline import Timeline
    from ..trace.wire import segment

    _check_socket(recording, socket)
    return Timeline(
        recording,
        decode=segment,
        limit=None if everything else _ROWS,
        socket=socket,
        since_ns=since_ns,
        until_ns=until_ns,
        everything=everything,
    )


def _write(lines: Iterable[str]) -> None:
    # Names are shown also where the terminal's encoding lacks a character for them.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    for line in lines:
        sys.stdout.write(line + "\n")


def _write_json(recording: Recording, timeline: Timeline | None) -> None:
    """All of a recording; without a timeline as it grows."""
    from ..trace.views import json_lines
    from ..trace.wire import decoded

    out = sys.stdout.buffer
    for line in json_lines(recording, segment=decoded, follow=timeline is None, timeline=timeline):
        out.write(line + b"\n")
        if timeline is None:
            out.flush()
    out.flush()
