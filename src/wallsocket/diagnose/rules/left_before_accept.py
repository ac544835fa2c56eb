"""The client had gone before its connection was accepted."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection
from ..trackers.accepted_by import AcceptedBy
from ..trackers.closing import Closing
from ..trackers.reads import Reads
from ..trackers.set_up import SetUp
from ..trackers.waits import LONG_WAIT_NS

__all__ = ["LeftBeforeAccept"]

#: Who only looks whether a port is open leaves sooner.
_PATIENCE_NS = 100_000_000


class LeftBeforeAccept(Rule):
    """A client waited in the accept queue until it gave up."""

    id = "left-before-accept"
    title = "clients gave up in the accept queue: accept came too late"
    covers = (58,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "connect succeeds as soon as the kernel has queued the connection; nobody may have accepted it. A client that gives up "
        "leaves a connection in CLOSE_WAIT in the queue, and the server then works for somebody who has gone."
    )
    symptoms = ("client timeouts under load", "CLOSE_WAIT without a process", "broken pipe on the first answer")
    proof = (
        "The client's connect succeeded, it closed half a second or more later, and only then accept returned its connection; or "
        "it asked in vain for something to read, closed after a tenth of a second, and accept came half a second after that."
    )
    fix = (
        "Accept at once, in a loop or thread of its own, and hand the work over; refuse what cannot be served in time."
    )
    disproof = "The client wanted no more than to see whether the port is open."
    references = ("accept(2)", "listen(2)")
    subject = "connection"
    needs = (AcceptedBy, Closing, Reads, SetUp)
    effects = ("write-after-peer-closed", "close-wait")

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        server, client = subject
        if client is None or server.origin != "accept" or not server.tcp:
            return
        accept = facts[AcceptedBy].of(server).call
        connect = facts[SetUp].of(client).connect
        left_ns = facts[Closing].left_ns(client)
        if accept is None or connect is None or client.ended_ns is None or left_ns >= accept.end_ns:
            return
        waited_ns = left_ns - connect.end_ns
        if waited_ns < _PATIENCE_NS:
            return
        turn = facts[Reads].of(client)
        late = accept.end_ns - left_ns >= LONG_WAIT_NS // 2 and turn.turn.looked_again and not turn.bytes
        if waited_ns < LONG_WAIT_NS // 2 and not late:
            return
        closed = facts[Closing].last_close(client)
        rows = [connect.proof(f"the client's {connect.text()}"), accept.proof()]
        if closed is not None:
            rows.insert(1, closed.proof(f"the client's {closed.text()}"))
        yield Evidence(
            self,
            accept.end_ns,
            f"The client at {client.local} was connected for {waited_ns / 1e9:.1f} s and left; {accept.text()} took its connection "
            f"{(accept.end_ns - left_ns) / 1e6:.0f} ms after that.",
            rows,
            call=accept.call,
            socket=server.id,
            process=accept.call.process,
            subjects=frozenset({client.id, *([server.parent] if server.parent is not None else [])}),
        )
