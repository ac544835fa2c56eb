"""An empty datagram taken for the end."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.datagrams import Datagrams
from ..trackers.reads import Reads
from ..vocabulary import AF_UNIX, SOCK_DGRAM

__all__ = ["EmptyDatagramAsEnd"]


class EmptyDatagramAsEnd(Rule):
    """An empty datagram taken for the end."""

    id = "empty-datagram-as-end"
    title = "the receiver stopped at an empty datagram, and more came"
    covers = (34,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A read of 0 bytes from a datagram socket is a message without content: datagram sockets have no end of "
        "stream. A program that stops there misses everything that follows, and any sender can make it stop."
    )
    symptoms = ("UDP server exits on empty packet", "recv returns 0 on UDP", "server stops after zero-length datagram")
    proof = (
        "The last read returned 0 bytes of a datagram, the socket was closed without another read, and datagrams of the same "
        "sender were queued or sent afterwards."
    )
    fix = "Go on after an empty datagram; agree on an end in the content, if one is needed."
    disproof = "The empty datagram was agreed as the end, and its sender sent nothing after it."
    references = ("recv(2)", "udp(7)")
    needs = (Closing, Datagrams, Reads)
    given = Reads
    effects = ("datagram-refused", "datagrams-to-nobody", "no-time-limit-for-answer")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if not (subject.udp or (subject.type == SOCK_DGRAM and subject.family == AF_UNIX)):
            return
        reads = facts[Reads].of(subject)
        last = reads.last
        ended_ns = subject.ended_ns
        if last is None or last.result != 0 or not last.length or last.name == "recvmmsg" or ended_ns is None:
            return
        rows: list[Proof] = []
        closed = facts[Closing].last_close(subject)
        closing = closed.entry if closed is not None else None
        if closing is not None and closing.receive_queue:
            rows.append(closing.proof(f"a datagram of {closing.receive_queue} bytes was queued at the close"))
        later = self._later(facts, subject, last)
        if later:
            rows.append(later[0].proof(f"sent afterwards: {later[0].text()}"))
        if not rows:
            return
        count = f"{len(later)} datagrams" if len(later) > 1 else "a datagram"
        yield Evidence(
            self,
            last.end_ns,
            f"{last.text()} was an empty datagram; the program read no more and closed {subject.name()}, though "
            + (f"{count} came after it." if later else "more was queued."),
            [last.proof(), *([closed.proof()] if closed is not None else []), *rows],
            call=last.call,
            socket=subject.id,
            process=last.call.process,
            subjects=frozenset(call.call.socket for call in later if call.call.socket is not None),
        )

    @staticmethod
    def _later(facts: Facts, socket: SocketFacts, last: CallFacts) -> list[CallFacts]:
        """Datagrams of who sent the empty one, sent after that was read; of any one sender where it is not known."""
        if socket.local is None:
            return []
        sent = facts[Datagrams].to(socket.local.port)
        empty = [call.call.socket for call in sent if call.moved == 0 and call.end_ns <= last.end_ns + 20_000_000]
        return [
            call for call in sent if call.entry_ns > last.entry_ns and call.moved and call.call.socket in empty[-1:]
        ]
