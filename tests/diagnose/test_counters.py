"""Whose packets the counters of a network namespace count."""

from __future__ import annotations

import json
import socket as sockets
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.diagnose.story import MS, S, Story, inet
from wallsocket.diagnose import Diagnosis
from wallsocket.diagnose.facts import Facts
from wallsocket.diagnose.trackers.counters import Counters
from wallsocket.events import Counter, Fact

OWN, OTHER = 1, 2
ATTACHED = {"attached": "[7]"}


def attached(networks: list[int] | None) -> Fact:
    """What is said of a program when it is attached to; ``None``: not in which namespaces it is."""
    where = {} if networks is None else {"networks": networks}
    return Fact(1, 0, None, "attached", json.dumps({"process": 1, "threads": [7], **where, "epolls": []}), "attached")


def counters(met: Mapping[str, int], meta: Mapping[str, str] | None = None, facts: Sequence[Fact] = ()) -> Counters:
    """What is known when a namespace was met with these values, and 60 packets have arrived since."""
    found = Counters(Facts(cast("Any", SimpleNamespace(meta=meta or {}, networks={}))))
    for fact in facts:
        found.attached(fact)
    for network in (OWN, OTHER):
        for number, (name, value) in enumerate(met.items(), 1):
            found.see(Counter(0, name, value, network), number)
        found.see(Counter(5, "IpInReceives", met.get("IpInReceives", 0) + 60, network), len(met) + 1)
    return found


def test_a_namespace_in_which_nothing_had_arrived_is_the_programs() -> None:
    found = counters({"IpInReceives": 0, "Ip6InReceives": 0})
    assert found.private(OTHER)
    assert found.networks("IpInReceives") == [OWN, OTHER]
    assert found.shared(OTHER, "IpInReceives") is None
    assert found.shared(OWN, "TcpExtIn") == "In rose in a network namespace that other programs may use as well"


@pytest.mark.parametrize(
    ("met", "meta", "facts"),
    [
        ({"IpInReceives": 1, "Ip6InReceives": 0}, {}, []),
        ({"IpInReceives": 0, "Ip6InReceives": 3}, {}, []),
        ({"IpInReceives": 0}, ATTACHED, []),
        ({"IpInReceives": 0}, ATTACHED, [attached(None)]),
        ({"IpInReceives": 0}, ATTACHED, [attached([OWN]), attached(None)]),
        ({"IpInReceives": 0}, ATTACHED, [attached(None), attached([OWN])]),
        ({"IpInReceives": 0}, ATTACHED, [attached([OWN, OTHER])]),
    ],
)
def test_others_may_be_in_one_that_was_used_before(
    met: Mapping[str, int], meta: Mapping[str, str], facts: Sequence[Fact]
) -> None:
    found = counters(met, meta, facts)
    assert not found.private(OTHER)
    assert found.shared(OTHER, "IpInReceives") is not None


def test_one_that_an_attached_program_made_is_the_programs() -> None:
    assert counters({"IpInReceives": 0}, ATTACHED, [attached([OWN])]).private(OTHER)


def test_the_tracers_own_is_never_the_programs_alone() -> None:
    found = counters({"IpInReceives": 0, "Ip6InReceives": 0})
    assert not found.private(OWN)
    assert not found.private(None)


def test_in_a_lab_all_are() -> None:
    found = counters({"IpInReceives": 7}, {"lab": "yes"})
    assert found.private(OWN)
    assert found.private(OTHER)
    assert found.private(None)


#: One story for each rule that asks what the counters of a network counted: what makes it a candidate, and the counters.
CASES = {
    "reverse-path-filter": ("TcpExtIPReversePathFilter",),
    "checksum-rejected": ("TcpInCsumErrors",),
    "fragments-lost": ("IpReasmReqds", "IpReasmFails"),
}


def judged(rule: str, network: int | None, read: bool = True, **meta: str) -> Diagnosis:
    """What a rule says where its counters rose in a namespace in which something had arrived before."""
    story = Story(**meta)
    one = story.socket(story.process(), None, None, type=sockets.SOCK_RAW, protocol=sockets.IPPROTO_TCP)
    story.made[one]["network"] = network
    if read:
        for name in ("IpInReceives", *CASES[rule]):
            story.counter(name, 3, at=0, network=network)
    story.call("sendto", one, 40, length=40, address=inet("10.0.0.1", 7), payload=b"x" * 40)
    story.now += 10 * MS
    for name in CASES[rule] if read else ():
        story.counter(name, 5, network=network)
    story.now += 2 * S
    return story.diagnosis(rule)


@pytest.mark.parametrize("rule", CASES)
def test_what_others_may_have_caused_is_not_passed_over_in_silence(rule: str) -> None:
    said = judged(rule, None, lab="no")
    assert said.findings == ()
    assert [(one.rule, one.missing) for one in said.cannot_tell] == [(rule, "facts")]
    assert said.cannot_tell[0].reason.endswith("rose in a network namespace that other programs may use as well")
    assert [one.rule for one in judged(rule, None, lab="yes").findings] == [rule]


@pytest.mark.parametrize("rule", CASES)
def test_where_no_counter_was_read_nobody_can_tell(rule: str) -> None:
    said = judged(rule, OTHER, read=False)
    assert [(one.rule, one.reason) for one in said.cannot_tell] == [
        (rule, f"the counters of network namespace {OTHER} were not read")
    ]


def test_what_is_kept_of_changes_has_one_bound() -> None:
    found = Counters(Facts(cast("Any", SimpleNamespace(meta={}, networks={}))))
    for name in range(1000):
        for value in range(300):
            found.see(Counter(value, f"Counter{name}", value, OWN), 300 * name + value + 1)
    assert found._changes.weight <= 65_536
    assert found.risen_in(OWN, "Counter0")[0] == 299
