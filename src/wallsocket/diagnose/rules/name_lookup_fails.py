"""A name server answers that it cannot answer, or that there is no such name."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Severity
from ..rule import Evidence, Judgement, Rule
from ..trackers.flows import Flow, Flows
from ..trackers.name_lookups import Lookup, NameLookups

__all__ = ["NameLookupFails"]

#: Response codes (RFC 1035, 4.1.1).
_FAILED, _NO_NAME, _REFUSED = 2, 3, 5
_SAYS = {
    _FAILED: ("SERVFAIL", "it could not find the answer out"),
    _NO_NAME: ("NXDOMAIN", "there is no such name"),
    _REFUSED: ("REFUSED", "it does not answer such questions of this asker"),
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
    layers = ("wire",)
    sentence = (
        "SERVFAIL says that the server could not find the answer (its own servers are silent, or a signature does not fit), "
        "REFUSED that it will not answer this asker, NXDOMAIN that the name does not exist: misspelt, or of another network's DNS."
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
    proof = "The answer with its code, and no answer with records for that name in the capture."
    fix = "Ask the same with dig @server NAME; mend the name, the zone, or the list of servers."
    disproof = "Another server, or the next suffix of the search list, had the answer."
    references = ("RFC 1035 4.1.1", "RFC 8020 2", "resolv.conf(5)")
    subject = "flow"
    needs = (Flows, NameLookups)

    def judge(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        yield from ()

    def judge_wire(self, facts: Facts) -> Iterator[Judgement]:
        lookups = facts[NameLookups]
        failed: dict[tuple[str, int], list[Lookup]] = {}
        for one in lookups.all:
            if one.answer is None or one.code not in _SAYS or one.name in lookups.resolved or _tried(one.name, lookups):
                continue
            if one.name == "." or one.name.endswith(_REVERSE):
                continue
            failed.setdefault((one.who, one.code), []).append(one)
        for (server, code), cases in failed.items():
            one = cases[0]
            assert one.answer is not None
            name, says = _SAYS[code]
            names = {case.name for case in cases}
            more = f" The same for {len(names) - 1} more names." if len(names) > 1 else ""
            severity: Severity = "note" if code == _NO_NAME else "warning"
            yield Evidence(
                self,
                one.answer.at_ns,
                f"{server} answered the question for {one.name} with {name}: {says}.{more}",
                [one.asked.proof(f"the question for {one.name}"), one.answer.proof(name)],
                severity=severity,
                title=f"the name server answers {name}",
                where=server,
            )


def _tried(name: str, lookups: NameLookups) -> bool:
    """Whether a name is one of a search list of which another suffix, or none, was right."""
    parts = name.split(".")
    return any(".".join(parts[:length]) in lookups.resolved for length in range(1, len(parts)))
