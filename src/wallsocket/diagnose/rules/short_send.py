"""A write took only a part, and the rest was never offered again."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ...events import Process
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.errors import Errors
from ..trackers.options import Options
from ..trackers.peers import Peers
from ..trackers.polls import Polls
from ..trackers.reads import Reads
from ..trackers.short_writes import ShortWrites
from ..trackers.writes import Writes

__all__ = ["ShortSendIgnored"]

#: Errors after which a connection is of no use, whoever is to blame.
_BEFORE_THE_END = (
    "Wait until all has been sent before the program ends: in Node the callback of end(), in asyncio drain() and "
    "wait_closed(), else a loop over send."
)
#: What is closed so shortly before the end of the program is closed by its end.
_AT_THE_END_NS = 1_000_000_000
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTUNREACH, errno.ENETUNREACH)


class ShortSendIgnored(Rule):
    """A write took only a part, and the rest was never offered again."""

    id = "short-send"
    title = "a short send was taken for a whole one"
    covers = (41,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "send on a non-blocking socket (also one with a timeout, or interrupted by a signal) takes what fits into the "
        "send buffer and returns that number. The rest is the caller's to send."
    )
    symptoms = ("data missing at the receiver", "large messages arrive incomplete", "send returned less than len")
    proof = (
        "A write returned less than it was given; until the program shut the connection down or ended, it offered "
        "fewer bytes than were left over; the peer had not gone. A program that waited until it could send more is "
        "exempt, unless it ended by itself before."
    )
    fix = "Send the rest in a loop when the socket is writable again; in Python use sendall on a blocking socket."
    disproof = "The program gave the connection up on purpose."
    references = ("send(2)", "write(2)")
    needs = (Closing, Errors, Options, Peers, Polls, Reads, ShortWrites, Writes)
    given = ShortWrites
    live = True

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        short = facts[ShortWrites].of(subject).short
        if short is None or facts[Options].aborts(subject):
            return
        program = self._ended(facts, subject)
        if short.in_vain:
            # It gave up a peer that did not read.
            return
        if short.waited and program is None:
            # An event loop was about to send the rest when the program gave the connection up.
            return
        closing = facts[Closing].of(subject)
        shut = closing.shut.get(1) or closing.shut.get(2)
        if not facts[Closing].done(subject) and not (shut is not None and shut.end_ns > short.call.end_ns):
            return
        if any(call.errno in _GONE for call in facts[Errors].of(subject).calls):
            return
        if facts[Polls].of(subject).hangup is not None:
            return
        peer = facts[Peers].of(subject)
        read = facts[Reads].of(peer).bytes if peer is not None else 0
        if peer is not None:
            gone = peer.ended_ns
            left_early = gone is not None and gone < facts[Closing].left_ns(subject)
            if left_early and (peer.late or read < facts[Writes].of(subject).bytes):
                return
        call = short.call.call
        rows = [short.call.proof()]
        if closing.closed is not None:
            rows.append(closing.closed.proof())
        why = (
            f"{short.call.name} took {call.result} of {call.length} bytes; of the other {short.owed} "
            f"{f'at most {short.offered} were' if short.offered else 'none was'} offered again."
        )
        if peer is not None and not peer.late:
            why += f" The peer read {read} bytes in all."
        if short.waited and program is not None:
            rows.append(facts.process_proof(program, f"the end of pid {program.pid}", short.call.end_ns))
            why += " The program waited to send on, and ended."
        yield Evidence(
            self,
            short.call.end_ns,
            why,
            rows,
            call=call,
            socket=subject.id,
            process=call.process,
            certainty="certain" if not short.waited or peer is not None else "strong",
            title="the program ended before all was sent" if short.waited else "",
            fix=_BEFORE_THE_END if short.waited else "",
            subjects=frozenset({peer.id} if peer is not None else ()),
        )

    @staticmethod
    def _ended(facts: Facts, socket: SocketFacts) -> Process | None:
        """The process that ended by itself, with the socket open or shortly after it had closed it."""
        ended = socket.ended_ns
        process = facts[Closing].ended_by(socket) or facts.process(socket.process)
        if ended is None or process is None or process.ended_ns is None or facts.killed(process):
            return None
        return process if abs(process.ended_ns - ended) < _AT_THE_END_NS else None
