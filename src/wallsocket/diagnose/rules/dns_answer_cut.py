"""A DNS answer that says it is cut, used as it is."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.dns_answers import DnsAnswers
from ..trackers.flows import Flows
from ..trackers.name_lookups import NameLookups

__all__ = ["DnsAnswerCut"]

_TCP = 6
#: Time in which who wants the whole answer has asked again.
_AFTER_NS = 1_000_000_000


class DnsAnswerCut(Rule):
    """A DNS answer that says it is cut, used as it is."""

    id = "dns-answer-cut"
    title = "a DNS answer was cut, and the program used what was left of it"
    covers = (129,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "An answer that does not fit into a UDP datagram (512 bytes without EDNS) comes with the truncation bit and few or no "
        "records. The whole answer is to be asked for over TCP (RFC 7766)."
    )
    symptoms = ("DNS returns no records but dig shows them", "truncated DNS response", "TC bit", "too few DNS records")
    proof = (
        "A read returned a DNS answer to a question of the program with the TC bit set; afterwards the process opened no TCP "
        "connection to that port and read no whole answer to the question."
    )
    fix = "Ask again over TCP when the TC bit is set; announce a larger size by EDNS (RFC 6891)."
    disproof = "The program asked another server, or had no use for the records."
    references = ("RFC 2181 9", "RFC 7766 5", "resolver(3)")
    subject = "process"
    needs = (DnsAnswers, Flows, NameLookups)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        answers = facts[DnsAnswers]
        for one in answers.truncated.get(subject.id, ()):
            if not answers.used_as_it_is(one):
                continue
            yield Evidence(
                self,
                one.answer.end_ns,
                f"The answer of {one.server} ({one.answer.moved} bytes) has the truncation bit; the program did not ask "
                "again over TCP.",
                [one.question.proof(), one.answer.proof(f"{one.answer.text()}: DNS answer, TC bit set")],
                call=one.answer.call,
                socket=one.answer.call.socket,
                process=subject.id,
            )

    def judge_wire(self, facts: Facts) -> Iterator[Judgement]:
        if facts.layer("calls") is None:
            return
        for one in facts[NameLookups].all:
            if one.cut is None or one.whole_ns >= 0 or (_TCP, one.server) in facts[Flows].targets:
                continue
            if facts.now_ns - one.cut.at_ns < _AFTER_NS:
                continue
            yield Evidence(
                self,
                one.cut.at_ns,
                f"The answer of {one.who} for {one.name} has the truncation bit, and nobody asked again over TCP.",
                [one.asked.proof(f"the question for {one.name}"), one.cut.proof("the answer, TC bit set")],
                certainty="strong",
                where=one.who,
            )
