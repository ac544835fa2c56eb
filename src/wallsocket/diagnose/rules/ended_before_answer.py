"""The process ended in the middle of a request."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection
from ..trackers.closing import ENDED_LATE_NS, Closing
from ..trackers.reads import Reads
from ..trackers.signals import Signals
from ..trackers.writes import Writes

__all__ = ["EndedBeforeAnswer"]


class EndedBeforeAnswer(Rule):
    """A request was read, and the process ended without an answer."""

    id = "ended-before-answer"
    title = "the process ended after it had read a request and before it answered"
    covers = (144,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A process that ends closes its connections, whatever is being worked on: after SIGTERM, at the end of main while threads "
        "still work, or by an error. The client gets the end, or a reset, instead of an answer."
    )
    symptoms = ("empty reply from server", "server disconnected", "connection reset during deployment", "no response")
    proof = (
        "The accepted connection had given bytes of a request, nothing was written after them, and the end of the process "
        "closed it while the client waited for the answer."
    )
    fix = "At the end stop accepting first, then wait for the requests that are being worked on, then leave."
    disproof = "The protocol has no answer to that message, such as one that tells the server to end."
    references = ("exit(2)", "signal(7)", "RFC 9112 9.6")
    subject = "connection"
    needs = (Closing, Reads, Signals, Writes)
    effects = ("write-after-peer-closed", "close-with-unread-data")

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        server, client = subject
        if client is None or server.origin != "accept" or not server.stream or server.ended_ns is None:
            return
        process = facts[Closing].ended_by(server)
        turn = facts[Reads].of(server).turn
        if process is None or process.signal is not None or turn.last is None or turn.answered is not None:
            return
        told = facts[Reads].of(client)
        asked = facts[Writes].of(client).last
        end = told.zero_last
        waited = end is not None and end.end_ns + ENDED_LATE_NS >= server.ended_ns
        if facts[Reads].of(server).zero_last is not None:
            # The client had said that it has no more to say: a one-way protocol ends like that.
            return
        if asked is None or end is None or not waited or (told.last is not None and told.last.end_ns > asked.entry_ns):
            return
        term = facts[Signals].first(process.id, "SIGTERM", "SIGINT", "SIGHUP")
        why = f"{facts.who(process.id)} had read {turn.bytes} bytes of a request and ended with status {process.exit_code}"
        if term is not None:
            why += f", {(server.ended_ns - term.at_ns) / 1e6:.0f} ms after {term.text}"
        # The thread that read it left in good order, and nobody else told it to: the request itself may have asked for that.
        obeyed = term is None and process.exit_code == 0 and turn.last.call.tid == process.pid
        perhaps = " Perhaps the request asked it to end." if obeyed else ""
        yield Evidence(
            self,
            server.ended_ns,
            f"{why}. The client waited for the answer and got {end.text()}.{perhaps}",
            [
                turn.last.proof(),
                facts.process_proof(process, f"{facts.who(process.id)} ended", server.ended_ns),
                end.proof(f"the client's {end.text()}"),
            ],
            call=turn.last.call,
            socket=server.id,
            process=process.id,
            severity="note" if obeyed else "error",
            certainty="hint" if obeyed else "strong",
            subjects=frozenset({client.id}),
        )
