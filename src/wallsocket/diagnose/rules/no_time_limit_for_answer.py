"""A datagram may be lost, and the program waits for its answer without end."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.bound import Bound
from ..trackers.options import Options
from ..trackers.questions import Question, Questions
from ..trackers.settings import Settings
from ..trackers.waits import LONG_WAIT_NS, Waits, watches_one, while_waiting
from ..vocabulary import ESTABLISHED, POLL_CALLS, READS, SO_RCVTIMEO, SOCK_DGRAM

__all__ = ["NoTimeLimitForAnswer"]


class NoTimeLimitForAnswer(Rule):
    """A datagram may be lost, and the program waits for its answer without end."""

    id = "no-time-limit-for-answer"
    title = "waits without a time limit for an answer that does not come"
    covers = (36,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A datagram or its answer may be lost on the way, or never be sent, and nothing tells the waiting program. "
        "Without a time limit it waits for ever."
    )
    symptoms = ("recvfrom blocks for ever", "UDP client hangs", "no reply UDP", "stuck in recvfrom")
    proof = (
        "The program sent a datagram, has read nothing from there since, and was in a read or poll of that socket without "
        "time limit for a second or more until its process or the recording ended."
    )
    fix = "Set a time limit (SO_RCVTIMEO, settimeout, poll), and send the question again when it has passed."
    disproof = "The answer came later, and nobody minded the wait."
    references = ("recv(2)", "socket(7)")
    pictures = "also"
    needs = (Bound, Options, Questions, Settings, Waits)
    given = Waits

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if not subject.udp:
            return
        if facts.pictures:
            yield from self._seen(facts, subject)
            return
        question = facts[Questions].of(subject).latest
        if question is None or not question.open or question.where.many:
            return
        wait = self._wait(facts, subject, question.last.entry_ns)
        if wait is None:
            return
        waits = facts[Waits]
        waited_ns = waits.until_ns(wait) - wait.entry_ns
        if waited_ns < LONG_WAIT_NS:
            return
        limited = facts[Options].limited(subject, SO_RCVTIMEO) if wait.name in READS else False
        if limited is not False:
            return
        process = facts.process(wait.call.process)
        killed = process is not None and process.signal is not None
        rows: list[Proof] = [question.last.proof(), wait.proof()]
        told, who = self._receiver(facts, question)
        if who is not None:
            rows.append(who)
        yield Evidence(
            self,
            wait.entry_ns,
            f"{question.last.text()} got no answer, and {wait.name} waited for it without a time limit, {waited_ns / 1e9:.1f} s "
            f"until the {'process was ended by a signal' if killed else 'end'}.{told}",
            rows,
            call=wait.call,
            socket=subject.id,
            process=wait.call.process,
            certainty="strong",
            severity="error" if killed or who is not None else "warning",
        )

    @staticmethod
    def _wait(facts: Facts, socket: SocketFacts, since_ns: int) -> CallFacts | None:
        for call in facts[Waits].unlimited(socket, READS):
            if call.unfinished and call.entry_ns >= since_ns:
                return call
        return None

    @staticmethod
    def _receiver(facts: Facts, question: Question) -> tuple[str, Proof | None]:
        """What the traced receiver did with the question, if it is known."""
        for entry in facts[Bound].on(question.where.port, SOCK_DGRAM):
            if entry.takes(question.where) and entry.had_it(question.last.end_ns) and entry.received:
                row = entry.bind.proof(f"{entry.bind.text()}: who was asked") if entry.bind is not None else None
                return f" {facts.who(entry.process)} has the port and sent nothing.", row
        return "", None

    def _seen(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        """What pictures show: a socket that a client uses, an empty queue, a wait without limit."""
        wait = next(
            (
                call
                for call in facts[Waits].of(subject).now.values()
                if call.name in READS or (call.name in POLL_CALLS and (call.timeout_ms or 0) < 0 and watches_one(call))
            ),
            None,
        )
        sample = while_waiting(wait) or subject.last if wait is not None else None
        if wait is None or sample is None or sample.receive_queue:
            return
        connected = sample.state == ESTABLISHED and subject.remote is not None
        if not connected and not self._chosen_by_kernel(facts, subject):
            return
        if wait.name in READS and facts[Options].limited(subject, SO_RCVTIMEO):
            return
        yield Evidence(
            self,
            sample.at_ns,
            f"{wait.name} on {subject.name()} waits without a time limit, nothing is queued, and the socket is a client's: "
            "if its question or the answer was lost, it waits for ever.",
            [wait.proof(), sample.proof("nothing to read")],
            call=wait.call,
            socket=subject.id,
            process=wait.call.process,
            certainty="hint",
            severity="note",
        )

    @staticmethod
    def _chosen_by_kernel(facts: Facts, socket: SocketFacts) -> bool:
        """Whether its port is of the range that the kernel takes from for sockets that nobody bound."""
        limits = (facts[Settings].text(socket.network, "net.ipv4.ip_local_port_range") or "32768 60999").split()
        port = socket.local.port if socket.local is not None else 0
        return len(limits) == 2 and all(one.isdecimal() for one in limits) and int(limits[0]) <= port <= int(limits[1])
