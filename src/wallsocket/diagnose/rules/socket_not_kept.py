"""A socket was closed in the line that made it, since no name held it."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.reads import Reads
from ..trackers.set_up import SetUp
from ..trackers.writes import Writes

__all__ = ["SocketNotKept"]

#: Between the making and the close: the interpreter does it at once.
_AT_ONCE_NS = 100_000_000
#: The error of the next line ends the program; a traceback takes its time on a busy machine.
_AFTERWARDS_NS = 1_000_000_000


class SocketNotKept(Rule):
    """A socket was closed in the line that made it: no name held it, and the program failed in the next line."""

    id = "socket-not-kept"
    title = "the socket was closed in the line that made it: nothing kept it"
    covers = (163,)
    severity = "warning"
    certainty = "hint"
    layers = ("calls", "lines")
    sentence = (
        "Python closes a socket as soon as no name and no container holds it. A call of socket.socket() whose result is not "
        "assigned makes one and closes it at once."
    )
    symptoms = (
        "NameError: name 's' is not defined",
        "socket closed immediately",
        "socket is closed right after creation",
    )
    proof = (
        "A Python program made the socket and closed it in the same line, nothing else was done with it, and the process ended "
        "with an error within a second."
    )
    fix = "Assign it: s = socket.socket(…), or with socket.socket(…) as s."
    disproof = "The line closes it on purpose, to try whether such a socket can be had."
    references = ("socket(2)", "close(2)")
    needs = (Closing, Reads, SetUp, Writes)
    given = Closing

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        closed = facts[Closing].last_close(subject)
        if closed is None or subject.late or subject.origin != "socket":
            return
        if subject.made_at is None or closed.call.source != subject.made_at:
            return
        set_up = facts[SetUp].of(subject)
        used = (
            set_up.bind or set_up.bind_failed or set_up.listen or set_up.listen_failed or set_up.connect,
            facts[Reads].of(subject).calls or facts[Writes].of(subject).calls,
        )
        if any(used) or closed.entry_ns - subject.created_ns > _AT_ONCE_NS:
            return
        process = facts.process(closed.call.process)
        if process is None or process.ended_ns is None or "python" not in (process.language or "").lower():
            return
        if (
            process.signal is not None
            or not process.exit_code
            or not 0 <= process.ended_ns - closed.end_ns <= _AFTERWARDS_NS
        ):
            return
        yield Evidence(
            self,
            closed.end_ns,
            f"{closed.text()} came from the line that had made the socket, and {(process.ended_ns - closed.end_ns) / 1e6:.0f} ms "
            f"later {facts.who(process.id)} ended with status {process.exit_code}.",
            [closed.proof(), facts.process_proof(process, f"ended with status {process.exit_code}", process.ended_ns)],
            call=closed.call,
            socket=subject.id,
            process=process.id,
        )
