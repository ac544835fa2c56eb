"""A program waits to send, and the peer does not read."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection, SocketFacts
from ..trackers.polls import Polls
from ..trackers.samples import Samples
from ..trackers.waits import Waits
from ..vocabulary import CLOSE_WAIT, EPOLL_WAITS, EPOLLET, EPOLLOUT, ESTABLISHED, POLL_CALLS, READS, WRITES

__all__ = ["PeerDoesNotRead"]

_LEAST_NS = 500_000_000
_PROBE = 4


class PeerDoesNotRead(Rule):
    """A program waits to send, and the peer does not read."""

    id = "peer-does-not-read"
    title = "waits to send: the peer does not read, its window is closed"
    covers = (71,)
    severity = "warning"
    certainty = "strong"
    layers = ("kernel",)
    sentence = (
        "When the receiver's buffer is full its kernel closes the window; the sender's buffer fills, and send waits until "
        "somebody reads at the other end."
    )
    symptoms = ("send blocks", "zero window", "transfer stalls", "stuck in sendall")
    proof = (
        "A thread has waited in send for half a second or more on a socket whose queue does not move, or an event loop waits "
        "for room in it, and the kernel probes a closed window, or the other end is here with unread data."
    )
    fix = "Read at the other end while sending, or give send a time limit and drop a reader that is too slow."
    disproof = "The reader takes the data a moment later: it is only slow."
    references = ("send(2)", "RFC 9293 3.8.6")
    pictures = "only"
    subject = "connection"
    supersedes = ("unread-data", "silent-peer")
    needs = (Polls, Samples, Waits)
    given = Waits

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        for one, other in ((subject.one, subject.other), (subject.other, subject.one)):
            if one is not None:
                yield from self._sends(facts, one, other)

    def _sends(self, facts: Facts, socket: SocketFacts, peer: SocketFacts | None) -> Iterator[Judgement]:
        waits, last = facts[Waits], socket.last
        wait = self._wait(facts, socket)
        if wait is None or last is None or not last.send_queue or not (socket.stream or socket.unix):
            return
        if socket.tcp and last.state not in (ESTABLISHED, CLOSE_WAIT):
            return
        still_ns = last.at_ns - facts[Samples].of(socket).quiet_since_ns
        if wait.name not in POLL_CALLS:  # a loop wakes for other things
            still_ns = min(still_ns, facts.now_ns - wait.entry_ns)
        unread = (peer.last.receive_queue or 0) if peer is not None and peer.last is not None else 0
        closed = last.row.timer == _PROBE
        if still_ns < _LEAST_NS or not (closed or unread):
            return
        rows: list[Proof] = [wait.proof(), last.proof(f"{last.send_queue} bytes in the send queue, unchanged")]
        where = ""
        if peer is not None and peer.last is not None and unread:
            if any(call.name in READS for call in waits.of(peer).now.values()):
                return
            rows.append(peer.last.proof(f"{unread} bytes unread at the other end"))
            busy = next(iter(waits.waiting_in(peer.process)), None)
            where = f"; {unread} bytes lie unread in {facts.who(peer.process)}"
            where += f", which {waits.doing(busy)}" if busy is not None else ""
        elif closed:
            where = "; the kernel probes a closed window"
        on = "" if wait.socket is socket else f", to send on {socket.name()},"
        yield Evidence(
            self,
            wait.entry_ns,
            f"{facts.who(wait.call.process)} {waits.doing(wait)}{on} and has for {still_ns / 1e9:.1f} s: the peer does not "
            f"read{where}.",
            rows,
            call=wait.call,
            socket=socket.id,
            process=wait.call.process,
            subjects=frozenset({peer.id} if peer is not None else ()),
            certainty="strong",
            severity="warning",
        )

    @staticmethod
    def _wait(facts: Facts, socket: SocketFacts) -> CallFacts | None:
        """The call that waits to send on a socket: a write, or that of an event loop that watches for room, level-triggered."""
        waits = facts[Waits]
        now = list(waits.of(socket).now.values())
        found = next((call for call in now if call.name in WRITES), None)
        if found is not None:
            return found
        events = facts[Polls].of(socket).epoll_events
        if not events & EPOLLOUT or events & EPOLLET:
            return None
        loops = [*now, *waits.waiting_in(socket.process)]
        return next((call for call in loops if call.name in EPOLL_WAITS), None)
