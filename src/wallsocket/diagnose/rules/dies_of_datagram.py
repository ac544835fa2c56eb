"""The program ended with an error right after it had read a datagram."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from ...events import Process
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.questions import Questions
from ..trackers.reads import Reads
from ..trackers.writes import Writes
from ..vocabulary import AF_PACKET

__all__ = ["DiesOfDatagram"]

#: A program that does not cope with what it read ends at once; printing a traceback takes its time on a busy machine.
_AFTERWARDS_NS = 1_000_000_000
#: Ends that were asked for, as shells and interpreters report them (128 + SIGINT, 128 + SIGTERM).
_ASKED = (0, 130, 143)
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)


class DiesOfDatagram(Rule):
    """The program ended with an error right after it had read a datagram, and sent no answer."""

    id = "dies-of-datagram"
    title = "the program ended with an error right after it had read a datagram"
    covers = (144,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "An uncaught error in handling one datagram ends the program, and with it the service for everybody else. "
        "The sender gets no answer and is not told why."
    )
    symptoms = ("UDP server stops after the first request", "no answer from UDP server", "server dies on a packet")
    proof = (
        "A datagram was read from somebody who had not been asked, nothing was sent on that socket afterwards, and within a "
        "second the process ended with an error status or by a crash."
    )
    fix = (
        "Look at the line that reads and at what is done with the data, and catch the errors of that for each datagram."
    )
    disproof = "The program was to read one datagram and to end with that status."
    references = ("recv(2)", "exit(2)", "signal(7)")
    needs = (Questions, Reads, Writes)
    given = Reads
    effects = ("no-time-limit-for-answer", "datagrams-to-nobody", "datagram-refused")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        packets = subject.family == AF_PACKET
        if not subject.udp and not packets:
            return
        read, written = facts[Reads].of(subject).last, facts[Writes].of(subject).last
        if read is None or (written is not None and written.entry_ns >= read.end_ns):
            return
        if subject.udp and read.address not in facts[Questions].of(subject).callers:
            return
        process = facts.process(read.call.process)
        how = _how(process)
        if process is None or process.ended_ns is None or how is None:
            return
        late_ns = process.ended_ns - read.end_ns
        if not 0 <= late_ns <= _AFTERWARDS_NS:
            return
        yield Evidence(
            self,
            read.end_ns,
            f"{read.text()} brought {read.moved} bytes; nothing was sent after it, and {late_ns / 1e6:.0f} ms later "
            f"{facts.who(process.id)} ended {how}.",
            [read.proof(), facts.process_proof(process, f"ended {how}", process.ended_ns)],
            call=read.call,
            socket=subject.id,
            process=process.id,
            certainty="hint" if packets else "strong",
            severity="note" if packets else "error",
        )


def _how(process: Process | None) -> str | None:
    """How it ended, if that was no end in order."""
    if process is None:
        return None
    if process.signal in _CRASHES:
        return f"by {signal.Signals(process.signal).name}"
    if process.signal is None and (process.exit_code or 0) not in _ASKED:
        return f"with status {process.exit_code}"
    return None
