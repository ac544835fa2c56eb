"""One line per socket: how it went, in words, from what it did and was."""

from __future__ import annotations

from ..kernel import names as naming
from ..kernel.tcp_state import TcpState
from .calls import named
from .syscalls import Role
from .timeline import Timeline
from .tracks import Track

__all__ = ["amount", "duration", "lasting", "ordinal", "verdict"]


def duration(span_ns: int) -> str:
    """A span of time with three digits at most: ``85 µs``, ``4.2 ms``, ``1.5 s``, ``2 min 5 s``."""
    if span_ns < 1_000:
        return f"{span_ns} ns"
    for unit, size in (("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)):
        value = span_ns / size
        if value < (999.5 if unit != "s" else 119.5):
            return f"{value:.0f} {unit}" if value >= 9.95 else f"{value:.1f}".removesuffix(".0") + f" {unit}"
    seconds = round(span_ns / 1_000_000_000)
    if seconds < 7200:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def lasting(span_ns: int, word: str = "for") -> str:
    """`` for 1.5 s``; nothing where no time passed, or none that is known."""
    return f" {word} {duration(span_ns)}" if span_ns > 0 else ""


def amount(count: int, noun: str) -> str:
    """``1 byte``, ``3 bytes``, ``2 processes``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}{'es' if noun.endswith('s') else 's'}"


def ordinal(number: int) -> str:
    """``1st``, ``2nd``, ``3rd``, ``11th``."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def verdict(timeline: Timeline, track: Track) -> str:
    """How the socket ended and what it moved, in one line without a full stop."""
    if track.listening:
        parts = [_listener(timeline, track)]
    elif track.socket.inferred:
        parts = [_inferred_end(track) if track.tcp else "" if track.sent or track.received else "nothing was sent"]
    else:
        parts = [_tcp_end(timeline, track) if track.tcp else _other_end(timeline, track)]
    if track.refused is not None and track.refused.errno is not None:
        parts.append(f"{timeline.name(track.refused)} failed with {naming.error(track.refused.errno)}")
    if not track.listening and (track.sent or track.received):
        parts.append(f"{_sent(track)}, {_received(track)}")
    if track.drops:
        parts.append(f"{track.drops} dropped by the kernel")
    if track.socket.origin == "attached" and not track.listening:
        parts.append(_open_before(timeline))
    return "; ".join(part for part in parts if part)


def _inferred_end(track: Track) -> str:
    """How an end looks of which only the wire is known."""
    connected = bool(track.sent or track.received) or track.has_been(TcpState.ESTABLISHED)
    if not connected and track.state is None:
        return "refused the connection" if track.reset_sent else "did not answer"
    if not connected:
        return "refused by the other end" if track.reset_received else "not connected"
    if track.reset_sent:
        return "reset by this end"
    if track.reset_received:
        return "reset by the other end"
    ended = any(track.has_been(state) for state in (TcpState.FIN_WAIT1, TcpState.CLOSING, TcpState.LAST_ACK))
    if ended and track.peer_ended:
        return "both ends ended"
    if ended:
        return "this end ended, the other did not"
    return "the other end ended, this one did not" if track.peer_ended else "open to the end of the capture"


def _sent(track: Track) -> str:
    if track.tcp or not track.messages_sent:
        return f"sent {amount(track.sent, 'byte')}"
    return f"sent {amount(track.sent, 'byte')} in {amount(track.messages_sent, 'message')}"


def _received(track: Track) -> str:
    if track.tcp or not track.messages_received:
        return f"received {amount(track.received, 'byte')}"
    return f"received {amount(track.received, 'byte')} in {amount(track.messages_received, 'message')}"


def _open_before(timeline: Timeline) -> str:
    return f"it was open before {'the trace' if timeline.recording.since_ns is None else 'what was kept'}"


def _listener(timeline: Timeline, track: Track) -> str:
    end = "closed" if track.closed else _left_open(track)
    backlog = f", backlog {track.backlog}" if track.backlog is not None else ""
    if track.socket.origin == "attached":
        end += f"; {_open_before(timeline)}"
    return f"listened{backlog}, accepted {amount(track.accepted, 'connection')}; {end}"


def _tcp_end(timeline: Timeline, track: Track) -> str:
    failed = track.failed
    connected = track.connected or bool(track.sent or track.received) or track.has_been(TcpState.ESTABLISHED)
    if failed is not None and timeline.role(failed) is Role.CONNECT and not connected:
        assert failed.errno is not None
        return f"could not connect: {naming.error(failed.errno)}"
    if track.pending_error is not None and not connected:
        return f"could not connect: {named(naming.error, track.pending_error)}"
    if not connected and track.state in (None, TcpState.CLOSE):
        return "never connected"
    if not connected and track.state is TcpState.SYN_SENT:
        return "still connecting when the recording ended" if not track.closed else "closed while connecting"
    if track.reset_received:
        return "reset by the peer"
    if track.unread and track.closed:
        return f"closed with {amount(track.unread, 'byte')} unread{_for_unread(timeline, track)}"
    if track.died:
        return "gone before this side closed it: reset, or timed out"
    if track.reset_sent:
        return "reset by this side"
    if failed is not None and timeline.role(failed) in (Role.SEND, Role.RECEIVE):
        assert failed.errno is not None
        return f"failed in {timeline.name(failed)} with {naming.error(failed.errno)}"
    if track.waiting is not None:
        return _waiting(timeline, track)
    if track.closed:
        return "both sides ended" if track.peer_ended else "closed by this side first"
    with_process = track.socket.ended_ns is not None
    if track.peer_ended and not track.has_been(TcpState.FIN_WAIT1):
        return "the peer ended, this side did not close " + ("until its process ended" if with_process else "it")
    if with_process:
        return "ended with its process"
    return "ended for writing, open to the end" if track.write_ended else "open to the end"


def _for_unread(timeline: Timeline, track: Track) -> str:
    """What closing with unread bytes led to: a reset, where one was seen; unless the peer was gone (tcp_close, tcp.c)."""
    if track.reset_sent:
        return ", which reset the connection"
    return "" if timeline.recording.meta.get("wire") == "yes" else ", which normally resets the connection"


def _other_end(timeline: Timeline, track: Track) -> str:
    failed = track.failed
    if failed is not None and failed.errno is not None:
        return f"failed in {timeline.name(failed)} with {naming.error(failed.errno)}"
    if track.waiting is not None:
        return _waiting(timeline, track)
    return "closed" if track.closed else _left_open(track)


def _waiting(timeline: Timeline, track: Track) -> str:
    call = track.waiting
    assert call is not None
    waited = lasting(timeline.waited_until(call) - call.entry_ns)
    ended = "its process" if timeline.cut_short(call) is not None else "the recording"
    return f"waited in {timeline.name(call)}{waited} when {ended} ended"


def _left_open(track: Track) -> str:
    return "closed by the end of its process" if track.socket.ended_ns is not None else "open to the end"
