"""The socket was closed at the hang-up, before what had come was read."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.errors import Errors
from ..trackers.hangups import Hangups
from ..trackers.options import Options
from ..trackers.protocols import Protocols

__all__ = ["HangupBeforeData"]


class HangupBeforeData(Rule):
    """POLLHUP was handled before POLLIN."""

    id = "hangup-before-data"
    title = "the socket was closed at the peer's hang-up, before it was read empty"
    covers = (49,)
    severity = "error"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "poll and epoll report the peer's end (HUP, RDHUP) together with what it sent before. The bytes stay readable until "
        "a read returns 0."
    )
    symptoms = ("the last bytes are missing", "data lost when the peer closes", "EPOLLRDHUP data loss")
    proof = "A poll or epoll reported HUP or RDHUP for the socket; nothing was read after it, and close found bytes in the queue."
    fix = "Look at POLLIN first and read until 0; close after that, or when HUP or ERR comes alone."
    disproof = "The program wanted to leave the rest unread."
    references = ("poll(2)", "epoll_ctl(2)")
    needs = (Closing, Errors, Hangups, Options, Protocols)
    given = Hangups
    supersedes = ("one-recv-per-message",)
    effects = ("close-with-unread-data", "write-after-peer-closed")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        told = facts[Hangups].of(subject).told
        closed, unread = facts[Closing].last_close(subject), facts[Closing].unread(subject)
        if told is None or closed is None or unread is None or closed.entry_ns < told.end_ns:
            return
        if facts[Errors].first(subject, (errno.ECONNRESET, errno.EPIPE)) is not None:
            # The connection had broken: nothing that came after that could be read.
            return
        if facts[Options].aborts(subject) or not subject.stream or facts[Closing].of(subject).shut:
            return
        if facts[Protocols].tls(subject):
            yield self.cannot_tell(
                "payload", "the connection is TLS: whether more than a farewell was unread is not known"
            )
            return
        yield Evidence(
            self,
            closed.end_ns,
            f"{told.name} reported that the peer of {subject.name()} had ended its side; {facts.who(subject.process)} closed "
            f"the socket without another read, and {unread.receive_queue} bytes were lost.",
            [told.proof(), unread.proof(f"{unread.receive_queue} bytes unread at close"), closed.proof()],
            call=closed.call,
            socket=subject.id,
            process=subject.process,
            certainty="strong",
        )
