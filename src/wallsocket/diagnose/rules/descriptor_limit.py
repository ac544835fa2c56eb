"""The process has as many descriptors open as it may."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts, json_object
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.host_answers import HostAnswers
from ..trackers.symptoms import FailedCalls, Symptoms
from ..vocabulary import ACCEPTS

__all__ = ["DescriptorLimit"]

#: Failures of one accept that are no chance.
_SPINS = 20


class DescriptorLimit(Rule):
    """The process has as many descriptors open as it may."""

    id = "descriptor-limit"
    title = "no descriptor is left: EMFILE"
    covers = (93,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Each socket needs a descriptor, and a process may have only so many (ulimit -n). Beyond that socket and "
        "accept fail with "
        "EMFILE. A connection that accept could not take stays in the queue, so a loop that waits for it is woken at "
        "once again."
    )
    symptoms = ("too many open files", "EMFILE", "accept spins", "100% CPU", "Errno 24", "ulimit -n")
    proof = "A call that makes a descriptor failed with EMFILE (ENFILE: the whole system has none left)."
    fix = (
        "Close what is no longer used; raise the limit (ulimit -n, LimitNOFILE); at EMFILE stop accepting for a while."
    )
    disproof = "The limit was set low to test just this."
    references = ("getrlimit(2)", "accept(2)", "proc(5)")
    subject = "process"
    needs = (Symptoms, HostAnswers)
    supersedes = ("listener-closed-with-queue",)
    effects = ("loop-blocked", "accept-queue-full")

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for group in facts[Symptoms].failed.values():
            if group.process == subject.id and group.errno in (errno.EMFILE, errno.ENFILE):
                yield self._evidence(facts, group)

    def _evidence(self, facts: Facts, group: FailedCalls) -> Evidence:
        first = group.first
        name = errno.errorcode[group.errno]
        rows: list[Proof] = [first.proof()]
        limit = ""
        answer = facts[HostAnswers].fact(first.call, "limits")
        if answer is not None:
            found = json_object(answer.value)
            soft, used = found.get("open_files_soft"), found.get("open_files")
            if isinstance(soft, int) and isinstance(used, int):
                limit = f" {used} descriptors were open, {soft} are allowed."
                rows += facts[HostAnswers].proof(first.call, "limits", f"{used} descriptors open, limit {soft}")
        accepts = group.name in ACCEPTS
        where = f" on {first.socket.name()}" if first.socket is not None else ""
        stays = " The connection stays in the queue, and is tried again." if accepts and group.count > 1 else ""
        spins = accepts and group.count >= _SPINS
        return Evidence(
            self,
            first.end_ns,
            f"{group.name}{where} failed with {name} {group.count} time{'s' if group.count > 1 else ''}.{limit}{stays}",
            rows,
            call=first.call,
            socket=first.socket.id if first.socket is not None else None,
            process=group.process,
            title="accept fails with EMFILE and is tried again at once: the loop spins"
            if spins
            else f"no descriptor is left: {name}",
            calls=[call for call, _, _ in group.calls],
        )
