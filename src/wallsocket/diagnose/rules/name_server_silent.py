"""A name server does not answer."""

from __future__ import annotations

from collections.abc import Iterator

from ...trace.importing.capture import group
from ...trace.verdict import duration
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.flows import Flows
from ..trackers.name_lookups import Lookup, NameLookups
from ..trackers.name_queries import NameQueries, Question

__all__ = ["NameServerSilent"]

_LONG_NS = 900_000_000
#: A question that was asked once: time in which an answer would have come.
_ONCE_NS = 5_000_000_000


class NameServerSilent(Rule):
    """Looking up a name takes 5 s, 10 s or more."""

    id = "name-server-silent"
    title = "a name server does not answer: each lookup waits for it"
    covers = (24,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "The resolver asks the first server of its list, waits (5 s with glibc), and asks again or asks the next "
        "one (resolv.conf(5)). A server that is down or behind a firewall costs that time at every lookup, before "
        "anything is connected."
    )
    symptoms = (
        "connecting takes 5 seconds",
        "slow DNS",
        "getaddrinfo hangs",
        "temporary failure in name resolution",
        "EAI_AGAIN",
        "lookup: i/o timeout",
    )
    proof = (
        "A question of the DNS went out and nothing was read from that socket for a second or more, until the same "
        "question was sent again or given up."
    )
    fix = "Take the server out of resolv.conf or mend it; options timeout:1 attempts:2 shorten the wait."
    disproof = "A capture shows that the answer came in time."
    references = ("resolv.conf(5)", "getaddrinfo(3)")
    subject = "process"
    needs = (Flows, NameLookups, NameQueries)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        by_server: dict[str, list[Question]] = {}
        for question in facts[NameQueries].silent(subject.id):
            if question.waited_ns >= _LONG_NS:
                by_server.setdefault(str(question.server), []).append(question)
        for server, questions in by_server.items():
            first = questions[0]
            waited_ns = _covered([(one.call.end_ns, one.over_ns) for one in questions])
            answered = all(facts[NameQueries].answered(one) for one in questions)
            then = "then it was asked again" if first.again is not None else "then it was given up"
            rows = [first.call.proof(f"{first.call.text()}: the question for {first.name}")]
            if first.again is not None:
                rows.append(
                    first.again.proof(f"{first.again.text()}: the same question, {duration(first.waited_ns)} later")
                )
            yield Evidence(
                self,
                first.over_ns,
                f"{server} did not answer the question for {first.name} for {duration(first.waited_ns)}, {then}; in "
                "all "
                f"{facts.who(subject.id)} waited {duration(waited_ns)} for this server.",
                rows,
                call=first.call.call,
                socket=first.socket,
                process=subject.id,
                severity="warning" if answered else "error",
                certainty="strong",
                subjects=frozenset(one.socket for one in questions),
                lost_ns=waited_ns,
            )

    def judge_wire(self, facts: Facts) -> Iterator[Judgement]:
        if facts.layer("calls") is None:
            return
        by_server: dict[str, list[Lookup]] = {}
        lookups = facts[NameLookups]
        one_way = False
        for one in lookups.all:
            if group(one.server):
                continue
            waited_ns = (one.last.at_ns if one.times > 1 else facts.now_ns) - one.asked.at_ns
            if one.answer is None and waited_ns >= (_LONG_NS if one.times > 1 else _ONCE_NS):
                if one.asker in facts[Flows].reached:
                    by_server.setdefault(one.who, []).append(one)
                else:
                    one_way = True
        for server, silent in by_server.items():
            first = silent[0]
            times = (
                "" if first.times == 1 else f", {first.times} times in {duration(first.last.at_ns - first.asked.at_ns)}"
            )
            rows = [first.asked.proof(f"the question for {first.name}")]
            if first.times > 1:
                rows.append(first.last.proof("the same question, the latest time"))
            yield Evidence(
                self,
                first.asked.at_ns,
                f"{server} did not answer the question for {first.name}{times}.",
                rows,
                severity="warning" if all(one.name in lookups.resolved for one in silent) else "error",
                count=len(silent),
                where=server,
            )
        if one_way:
            yield self.cannot_tell(
                "wire", "the capture shows nothing that was sent to the asker: perhaps it has one direction only"
            )


def _covered(spans: list[tuple[int, int]]) -> int:
    """The time that spans cover together: two questions wait at once."""
    total, until = 0, 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, until))
        until = max(until, end)
    return total
