"""A name server answers that it cannot answer, or that there is no such name."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..address import Address
from ..facts import Facts
from ..finding import Severity
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.dns_answers import DnsAnswers, Failed
from ..trackers.name_lookups import Lookup, NameLookups

__all__ = ["NameLookupFails"]

#: Response codes (RFC 1035, 4.1.1).
_FAILED, _NO_NAME, _REFUSED = 2, 3, 5
_SAYS = {
    _FAILED: ("SERVFAIL", "it could not find the answer"),
    _NO_NAME: ("NXDOMAIN", "there is no such name"),
    _REFUSED: ("REFUSED", "it does not answer such questions from this asker"),
}
#: Addresses that have no name are no fault.
_REVERSE = (".in-addr.arpa", ".ip6.arpa")


class NameLookupFails(Rule):
    """A name server answers that it cannot answer, or that there is no such name."""

    id = "name-lookup-fails"
    title = "the name server has no address for a name"
    covers = (162,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "SERVFAIL says that the server could not find the answer (its own servers are silent, or a signature does "
        "not fit), REFUSED that it will not answer this asker, NXDOMAIN that the name does not exist: misspelt, or "
        "known to another network's DNS only."
    )
    symptoms = (
        "name or service not known",
        "temporary failure in name resolution",
        "NXDOMAIN",
        "SERVFAIL",
        "could not resolve host",
        "EAI_NONAME",
        "getaddrinfo ENOTFOUND",
    )
    proof = (
        "A read returned the answer to a question of the program with such a code, or a frame held it; nobody gave the program, "
        "or the capture, an answer with records for that name."
    )
    fix = "Ask the same with dig @server NAME; mend the name, the zone, or the list of servers."
    disproof = "Another server, or the next suffix of the search list, had the answer."
    references = ("RFC 1035 4.1.1", "RFC 8020 2", "resolv.conf(5)")
    subject = "process"
    needs = (DnsAnswers, NameLookups)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        answers = facts[DnsAnswers]
        resolved = {name for process, name in answers.resolved if process == subject.id}
        failed: dict[tuple[Address, int], list[Failed]] = {}
        for one in answers.failed.get(subject.id, ()):
            if one.code not in _SAYS or _tried(one.name, resolved) or _nameless(one.name):
                continue
            failed.setdefault((one.server, one.code), []).append(one)
        for (server, code), cases in failed.items():
            one = cases[0]
            name, why, severity = _words(str(server), code, [case.name for case in cases])
            yield Evidence(
                self,
                one.answer.end_ns,
                why,
                [one.question.proof(), one.answer.proof(f"{one.answer.text()}: {name}")],
                call=one.question.call,
                socket=one.answer.call.socket,
                process=subject.id,
                severity=severity,
                title=f"the name server answers {name}",
                calls=[case.answer.call.id for case in cases],
            )

    def judge_wire(self, facts: Facts) -> Iterator[Judgement]:
        if facts.layer("calls") is None:
            return
        lookups = facts[NameLookups]
        failed: dict[tuple[str, int], list[Lookup]] = {}
        for one in lookups.all:
            if one.answer is None or one.code not in _SAYS or _tried(one.name, lookups.resolved) or _nameless(one.name):
                continue
            failed.setdefault((one.who, one.code), []).append(one)
        for (server, code), cases in failed.items():
            one = cases[0]
            assert one.answer is not None
            name, why, severity = _words(server, code, [case.name for case in cases])
            yield Evidence(
                self,
                one.answer.at_ns,
                why,
                [one.asked.proof(f"the question for {one.name}"), one.answer.proof(name)],
                severity=severity,
                title=f"the name server answers {name}",
                where=server,
            )


def _words(server: str, code: int, names: list[str]) -> tuple[str, str, Severity]:
    """What a code is called, what it means here, and how grave it is."""
    name, says = _SAYS[code]
    others = len(set(names)) - 1
    more = f" The same for {others} more name{'s' if others > 1 else ''}." if others else ""
    why = f"{server} answered the question for {names[0]} with {name}: {says}.{more}"
    return name, why, "note" if code == _NO_NAME else "warning"


def _nameless(name: str) -> bool:
    return name == "." or name.endswith(_REVERSE)


def _tried(name: str, resolved: Collection[str]) -> bool:
    """Whether a name, or the one of a search list of which another suffix or none was right, was found."""
    parts = name.split(".")
    return any(".".join(parts[:length]) in resolved for length in range(1, len(parts) + 1))
