"""EINPROGRESS taken for a failure."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.connecting import Connecting

__all__ = ["ConnectInProgress"]

#: Later than this the program may have had a reason of its own to give up.
_AT_ONCE_NS = 100_000_000


class ConnectInProgress(Rule):
    """A connect that does not block was given up at once."""

    id = "connect-in-progress"
    title = "EINPROGRESS was taken for a failure: the connection was still being made"
    covers = (7,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "On a non-blocking socket connect returns EINPROGRESS and the handshake goes on. The socket becomes "
        "writable when it is over; SO_ERROR then says how it ended."
    )
    symptoms = ("operation now in progress", "EINPROGRESS", "[Errno 115]", "connect fails at once")
    proof = (
        "connect returned EINPROGRESS, and the same process closed the socket at once without having waited or asked."
    )
    fix = "Wait until the socket is writable (poll, select, epoll), then read SO_ERROR: 0 is connected."
    disproof = "The program gave the connection up on purpose, because another one had been made first."
    references = ("connect(2)", "socket(7)")
    needs = (Connecting,)
    given = Connecting
    live = True

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        seen = facts[Connecting].of(subject)
        begun, closed = seen.begun, seen.closed
        if begun is None or closed is None:
            return
        if closed.call.process != begun.call.process or closed.entry_ns - begun.end_ns > _AT_ONCE_NS:
            return
        if begun.end_ns - begun.entry_ns > _AT_ONCE_NS:
            # It did block: SO_SNDTIMEO ran out, which connect reports by the same errno.
            return
        yield Evidence(
            self,
            closed.end_ns,
            f"{begun.text()} says that the handshake has begun; {closed.text()} ended it "
            f"{(closed.entry_ns - begun.end_ns) / 1e6:.1f} ms later. Nobody had waited for the socket to become writable.",
            [begun.proof(), closed.proof()],
            call=begun.call,
            socket=subject.id,
            process=begun.call.process,
            certainty="strong",
        )
