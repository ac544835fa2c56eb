"""Nothing to read at the moment was taken for the end."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.empty_looks import EmptyLooks
from ..trackers.errors import Errors
from ..trackers.options import Options
from ..trackers.peers import Peers
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.writes import Writes

__all__ = ["NothingYetIsNoEnd"]

#: The program closed at once: within this time of the look.
_AT_ONCE_NS = 300_000_000


class NothingYetIsNoEnd(Rule):
    """EAGAIN, or FIONREAD of 0, was taken for the end."""

    id = "nothing-yet-is-no-end"
    title = "nothing to read at the moment was taken for the end"
    covers = (52, 122)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "EAGAIN, FIONREAD of 0 and available() of 0 say that nothing has arrived yet. The end of a stream is a read that "
        "returns 0."
    )
    symptoms = (
        "answer is cut",
        "connection closed although the peer is there",
        "Resource temporarily unavailable",
        "available() returns 0",
        "BlockingIOError",
    )
    proof = (
        "A read gave EAGAIN at once, or FIONREAD gave 0; the program did not wait or look again, and closed; the peer had "
        "not ended its side, and sent more."
    )
    fix = "Wait until the socket is readable (poll, select, a blocking read) and read until the agreed end."
    disproof = "The program had all that it wanted, and closed for that reason."
    references = ("recv(2)", "fcntl(2)")
    needs = (Closing, EmptyLooks, Errors, Options, Peers, Protocols, Reads, Writes)
    given = EmptyLooks
    supersedes = ("one-recv-per-message",)
    effects = ("close-with-unread-data", "write-after-peer-closed")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        kept = facts[EmptyLooks].of(subject)
        look, closed = kept.look, facts[Closing].last_close(subject)
        if look is None or kept.went_on or closed is None or subject.late or facts[Options].aborts(subject):
            return
        if closed.entry_ns - look.end_ns > _AT_ONCE_NS or facts[Reads].of(subject).zero_run:
            return
        if closed.call.process != look.call.process:
            # A socket of several processes: who closed it last had not looked.
            return
        if facts[EmptyLooks].waited_since(subject, look):
            return
        # A connect that goes on by itself is no error.
        errors = [call for call in facts[Errors].of(subject).calls if call.errno != errno.EINPROGRESS]
        if any(call.end_ns < look.end_ns and call is not look for call in errors):
            return
        peer = facts[Peers].of(subject)
        if peer is None:
            if not facts[Reads].of(subject).bytes and facts[Writes].of(subject).bytes:
                yield self.cannot_tell("peer", "whether the other end had more to send was not recorded")
            return
        read = facts[Reads].of(subject).bytes
        more = [
            call
            for call in facts[Writes].of(peer).recent
            if call.offset is not None and call.offset + call.moved > read and call.entry_ns < facts.now_ns
        ]
        tried = [call for call in facts[Errors].of(peer).calls if call.name in ("write", "sendto", "sendmsg", "writev")]
        if peer.late or not (more or tried) or (facts[Writes].of(peer).bytes == 0 and not tried):
            return
        if facts[Protocols].tls(subject):
            yield self.cannot_tell(
                "payload", "the connection is TLS: whether more than a farewell was to come is not known"
            )
            return
        later = (more or tried)[0]
        what = "FIONREAD said that 0 bytes were there" if look.name == "ioctl" else f"{look.name} gave EAGAIN"
        had = f"It had read {read} bytes" if read else "It had read nothing"
        yield Evidence(
            self,
            look.end_ns,
            f"{what} and {facts.who(subject.process)} closed {subject.name()}. {had}; {facts.who(peer.process)} had not "
            f"ended its side and {'sent' if more else 'tried to send'} more.",
            [look.proof(), closed.proof(), later.proof(f"{facts.who(peer.process)}: {later.text()}")],
            call=look.call,
            socket=subject.id,
            process=subject.process,
            certainty="strong",
            title="FIONREAD of 0 was taken for the end" if look.name == "ioctl" else "EAGAIN was taken for the end",
            subjects=frozenset({peer.id}),
        )
