"""select cannot watch a descriptor of number 1024 or more."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.selects import Selects

__all__ = ["SelectLimit"]

_SOON_NS = 5_000_000_000
#: Between the last select and the descriptor that is too large for the next one.
_AT_ONCE_NS = 500_000_000
_CRASHES = {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS}


class SelectLimit(Rule):
    """select cannot watch a descriptor of number 1024 or more."""

    id = "select-limit"
    title = "a descriptor of number 1024 or more cannot be given to select"
    covers = (94,)
    severity = "warning"
    certainty = "hint"
    layers = ("calls",)
    sentence = (
        "An fd_set has 1024 bits. FD_SET with a higher number writes beside it (glibc's checks abort the program), "
        "and Python raises ValueError; the kernel is not even called."
    )
    symptoms = (
        "filedescriptor out of range in select()",
        "buffer overflow detected",
        "ValueError select",
        "FD_SETSIZE",
        "crash with many connections",
    )
    proof = (
        "The process waited with select, got a descriptor of number 1024 or more, never called select again, and "
        "ended with an error."
    )
    fix = "Use poll or epoll (selectors.DefaultSelector in Python)."
    disproof = "The program ended for another reason."
    references = ("select(2)", "poll(2)")
    subject = "process"
    needs = (Selects,)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        found = facts[Selects].of(subject)
        row = facts.process(subject.id)
        if found is None or row is None or row.ended_ns is None:
            return
        last, beyond = found.last, found.beyond
        if last is None or beyond is None or last.entry_ns > beyond.end_ns or found.widest > 1024:
            return
        crashed = row.signal in _CRASHES
        # Who catches the error may end as if all were well: then only the time speaks for it.
        at_once = row.exit_code == 0 and beyond.entry_ns - last.end_ns < _AT_ONCE_NS
        if not (crashed or row.exit_code or at_once) or row.ended_ns - beyond.end_ns > _SOON_NS:
            return
        how = f"signal {row.signal}" if crashed else f"status {row.exit_code}"
        yield Evidence(
            self,
            beyond.end_ns,
            f"{facts.who(subject.id)} waits with select; {beyond.text()} gave it a descriptor beyond 1023, it never "
            "called select again "
            f"and ended with {how} {(row.ended_ns - beyond.end_ns) / 1e6:.0f} ms later.",
            [
                last.proof(f"{last.text()}: its last select"),
                beyond.proof(),
                facts.process_proof(row, f"the process ended with {how}", row.ended_ns),
            ],
            call=last.call,
            socket=beyond.call.made or beyond.call.socket,
            process=subject.id,
            certainty="hint",
            severity="warning",
        )
