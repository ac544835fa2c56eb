"""``wallsocket show``: a recording as a ladder, as calls, as states, as packets, as JSON."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from . import options, terminal

if TYPE_CHECKING:
    from ..trace.choice import Choice
    from ..trace.clock import Clock
    from ..trace.recording import Recording
    from ..trace.timeline import Timeline

__all__ = ["command"]

#: Rows drawn at each end of a long conversation, and conversations drawn, unless all are asked for.
_ROWS: Final = 30
_LADDERS: Final = 12
_SUMMARIES: Final = 40


@click.command()
@options.recording
@click.option("--calls", is_flag=True, help="A line per call.")
@click.option("--states", is_flag=True, help="The path of each socket through the states.")
@click.option("--packets", is_flag=True, help="A line per packet.")
@click.option("--summary", is_flag=True, help="How often each call was made, how long it took, how it failed.")
@options.json
@click.option("--socket", type=options.Count(), metavar="N", help="Only this socket and its peer.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="Only sockets with this port at either end.")
@click.option("--process", metavar="PID|NAME", help="Only this process, or those of this name; * and ? match.")
@click.option(
    "--call",
    metavar="FILTER",
    help="Only these calls: 'connect', 'recv*', 'failed', 'ECONNRESET', '>10ms', with commas.",
)
@click.option("--stack", is_flag=True, help="With --calls: the native stack of each call.")
@click.option("--wall-clock", is_flag=True, help="The local time of day instead of milliseconds since the beginning.")
@click.option("--from", "from_s", type=options.DURATION, metavar="TIME", help="From this time on, such as 250ms.")
@click.option("--to", "to_s", type=options.DURATION, metavar="TIME", help="Up to this time.")
@click.option(
    "--all", "everything", is_flag=True, help="Leave nothing out: every call, socket, signal and acknowledgement."
)
@click.option(
    "--follow", is_flag=True, help="Go on while the recording grows: calls as they return, or with --json all."
)
def command(
    recording: options.Files | None,
    calls: bool,
    states: bool,
    packets: bool,
    summary: bool,
    as_json: bool,
    socket: int | None,
    port: int | None,
    process: str | None,
    call: str | None,
    stack: bool,
    wall_clock: bool,
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
    views = {"calls": calls, "states": states, "packets": packets, "summary": summary}
    named = [name for name, asked in views.items() if asked]
    if len(named) > 1:
        raise click.UsageError(f"--{named[0]} and --{named[1]} cannot be combined")
    view = named[0] if named else None
    if as_json and view not in (None, "summary"):
        raise click.UsageError(f"--json and --{view} cannot be combined")
    if view is None and not as_json and (call is not None or stack or follow):
        view = "calls"
    if stack and view != "calls":
        raise click.UsageError("--stack goes with --calls")
    if follow and view not in (None, "calls"):
        raise click.UsageError(f"--follow goes with --calls or --json, not with --{view}")
    if follow and (stack or from_s is not None or to_s is not None):
        raise click.UsageError("--follow shows what happens from now on: it takes neither --from, --to nor --stack")
    if call is not None and view not in ("calls", "summary"):
        raise click.UsageError("--call goes with --calls or --summary")
    if follow and as_json and (socket, port, process) != (None, None, None):
        raise click.UsageError("--follow --json shows everything; --follow alone takes --socket, --port and --process")
    if as_json and wall_clock:
        raise click.UsageError("--json has the times of the recording, and its beginning as started_realtime_ns")
    if view == "summary" and wall_clock:
        raise click.UsageError("--summary has no times of day: --wall-clock goes with the other views")
    if from_s is not None and to_s is not None and from_s > to_s:
        raise click.UsageError("--from is later than --to")

    def choose(opened: Recording) -> Choice:
        from ..trace.choice import Choice

        return Choice(opened, socket=socket, port=port, process=process, call=call)

    with options.open_recording(recording) as opened:
        wanted = _Wanted(choose, socket, _ns(from_s), _ns(to_s), everything, wall_clock, stack, follow)
        if as_json:
            _write_json(opened, wanted, summary=summary)
        else:
            _write(_lines(opened, view, wanted), at_once=follow)


class _Wanted(NamedTuple):
    """What of a recording, and how."""

    choose: Callable[[Recording], Choice]
    socket: int | None
    since_ns: int | None
    until_ns: int | None
    everything: bool
    wall_clock: bool
    stack: bool
    follow: bool


def _ns(time_s: float | None) -> int | None:
    return None if time_s is None else round(time_s * 1_000_000_000)


def _lines(recording: Recording, view: str | None, wanted: _Wanted) -> Iterator[str]:
    from ..trace import views

    colour = terminal.has_colour()
    payload_bytes = 1 << 20 if wanted.everything else 32
    if wanted.follow:
        yield from views.followed_lines(
            recording, wanted.choose, colour=colour, wall=wanted.wall_clock, payload_bytes=payload_bytes
        )
        return
    if (span := _span(recording, wanted)) is not None:
        yield span
    else:
        yield from _view(recording, view, wanted, payload_bytes)
    if view is not None or span is not None:
        from ..trace.ladder import incomplete

        yield from incomplete(recording, colour=colour)


def _view(recording: Recording, view: str | None, wanted: _Wanted, payload_bytes: int) -> Iterator[str]:
    from ..trace import views
    from ..trace.clock import Clock

    colour = terminal.has_colour()
    choice = wanted.choose(recording)
    whole = choice.is_all and wanted.since_ns is wanted.until_ns is None
    clock = Clock(recording, wall=wanted.wall_clock)
    if view == "calls":
        lines = views.call_lines(
            recording,
            colour=colour,
            payload_bytes=payload_bytes,
            choice=choice,
            clock=clock,
            since_ns=wanted.since_ns,
            until_ns=wanted.until_ns,
            every_mark=wanted.everything and choice.is_all,
            stacks=wanted.stack,
        )
        yield from _or(lines, "No call was recorded.", "No such call was recorded.", everything=whole)
        return
    if view == "packets":
        # A packet belongs to a socket by its conversation: of all of them every row is needed.
        timeline = None if choice.is_all else _timeline(recording, wanted._replace(everything=True))
        lines = _packets(recording, timeline, choice, clock, wanted)
        nothing = recording.missing.get("wire")
        reason = f"No packet was recorded: {nothing}." if nothing is not None else "No packet was recorded."
        yield from _or(lines, reason, "No such packet was recorded.", everything=whole or nothing is not None)
        return
    timeline = _timeline(recording, wanted)
    if view == "summary":
        from ..trace.totals import Totals

        totals = Totals(timeline, choice, since_ns=wanted.since_ns, until_ns=wanted.until_ns)
        lines = totals.lines(colour=colour) if totals.calls else iter(())
        yield from _or(lines, "No call was recorded.", "No such call was recorded.", everything=whole)
        return
    if view == "states":
        lines = views.state_lines(timeline, colour=colour, choice=choice, clock=clock)
        yield from _or(lines, "No socket was recorded.", "No such socket was recorded.", everything=whole)
        return
    yield from _ladder(timeline, choice, clock, wanted)


def _or(lines: Iterator[str], nothing: str, none_such: str, *, everything: bool) -> Iterator[str]:
    """The lines, or one that says that there are none: of all, or of what was asked for."""
    first = next(lines, None)
    if first is None:
        yield nothing if everything else none_such
        return
    yield from itertools.chain((first,), lines)


def _span(recording: Recording, wanted: _Wanted) -> str | None:
    """What to say of a span that begins when the recording has ended."""
    from ..trace.verdict import duration

    if wanted.since_ns is None or recording.growing or wanted.since_ns <= recording.ended_ns:
        return None
    return f"Nothing was recorded then: the recording ends at {duration(recording.ended_ns)}."


def _packets(
    recording: Recording, timeline: Timeline | None, choice: Choice, clock: Clock, wanted: _Wanted
) -> Iterator[str]:
    from ..trace.views import packet_lines
    from ..trace.wire import summary

    ids: set[int] | None = None
    if timeline is not None:
        rows = (row for item in timeline.wanted() if choice.draws(item) for row in item.lines)
        ids = {row.segment.packet for row in rows if row.segment is not None}
    yield from packet_lines(
        recording,
        summary,
        clock=clock,
        since_ns=wanted.since_ns,
        until_ns=wanted.until_ns,
        wanted=lambda packet: ids is None or packet.id in ids,
    )


def _ladder(timeline: Timeline, choice: Choice, clock: Clock, wanted: _Wanted) -> Iterator[str]:
    from ..trace.ladder import Ladder, header

    colour = terminal.has_colour()
    yield from header(timeline, colour=colour)
    ladder = Ladder(timeline, width=terminal.width(), colour=colour, clock=clock)
    conversations = [conversation for conversation in timeline.wanted() if choice.draws(conversation)]
    if not conversations:
        yield "No socket was recorded." if choice.is_all else "No such socket was recorded."
    elif wanted.since_ns is not None or wanted.until_ns is not None:
        conversations = [conversation for conversation in conversations if conversation.lines]
        if not conversations:
            yield "Nothing happened in this span."
    if wanted.everything or wanted.socket is not None:
        drawn = conversations
    else:
        drawn = [conversation for conversation in conversations if timeline.says_much(conversation)][:_LADDERS]
    for conversation in drawn:
        yield ""
        yield from ladder.draw(conversation)
    if timeline.failed_alone and choice.is_all:
        yield ""
        failed = list(ladder.failed_alone())
        yield from failed if wanted.everything else failed[:_SUMMARIES]
        if len(failed) > _SUMMARIES and not wanted.everything:
            yield f"… {len(failed) - _SUMMARIES} more calls that failed without a socket; --all lists them"
    shown = {conversation.number for conversation in drawn}
    rest = [conversation for conversation in conversations if conversation.number not in shown]
    if rest:
        yield ""
        brief = list(ladder.summary(rest))
        yield from brief[:_SUMMARIES]
        if len(brief) > _SUMMARIES:
            yield f"… {len(brief) - _SUMMARIES} more; --all draws everything, --socket N one of them"


def _timeline(recording: Recording, wanted: _Wanted) -> Timeline:
    from ..trace.timeline import Timeline
    from ..trace.wire import segment

    return Timeline(
        recording,
        decode=segment,
        limit=None if wanted.everything else _ROWS,
        socket=wanted.socket,
        since_ns=wanted.since_ns,
        until_ns=wanted.until_ns,
        everything=wanted.everything,
    )


def _write(lines: Iterable[str], *, at_once: bool) -> None:
    # Names are shown also where the terminal's encoding lacks a character for them.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    for line in lines:
        sys.stdout.write(line + "\n")
        if at_once:
            sys.stdout.flush()


def _write_json(recording: Recording, wanted: _Wanted, *, summary: bool) -> None:
    """All of a recording; without a timeline as it grows."""
    from ..trace.text import json_line
    from ..trace.views import json_lines
    from ..trace.wire import decoded

    out = sys.stdout.buffer
    if wanted.follow:
        for line in json_lines(recording, segment=decoded, follow=True):
            out.write(line + b"\n")
            out.flush()
        return
    choice, timeline = wanted.choose(recording), _timeline(recording, wanted)
    if summary:
        from ..trace.totals import Totals

        totals = Totals(timeline, choice, since_ns=wanted.since_ns, until_ns=wanted.until_ns)
        out.writelines(json_line({"call": total}) + b"\n" for total in totals.calls)
        out.writelines(json_line({"socket": total}) + b"\n" for total in totals.sockets)
    else:
        lines = json_lines(recording, segment=decoded, timeline=timeline, choice=choice)
        out.writelines(line + b"\n" for line in lines)
    out.flush()
