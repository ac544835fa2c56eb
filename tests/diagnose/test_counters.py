"""Whose packets the counters of a network namespace count."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wallsocket.diagnose.facts import Facts
from wallsocket.diagnose.trackers.counters import Counters
from wallsocket.events import Counter

OWN, OTHER = 1, 2


def counters(met: Mapping[str, int], meta: Mapping[str, str] | None = None) -> Counters:
    """What is known when a namespace was met with these values, and 60 packets have arrived since."""
    facts = Facts(cast("Any", SimpleNamespace(meta=meta or {})))
    found = Counters(facts)
    for network in (OWN, OTHER):
        for number, (name, value) in enumerate(met.items(), 1):
            found.see(Counter(0, name, value, network), number)
        found.see(Counter(5, "IpInReceives", met.get("IpInReceives", 0) + 60, network), len(met) + 1)
    return found


def test_a_namespace_in_which_nothing_had_arrived_is_the_programs() -> None:
    found = counters({"IpInReceives": 0, "Ip6InReceives": 0})
    assert found.private(OTHER)
    assert found.networks("IpInReceives") == [OTHER]


@pytest.mark.parametrize(
    ("met", "meta"),
    [
        ({"IpInReceives": 1, "Ip6InReceives": 0}, {}),
        ({"IpInReceives": 0, "Ip6InReceives": 3}, {}),
        ({"IpInReceives": 0}, {"attached": "[7]"}),
    ],
)
def test_others_may_be_in_one_that_was_used_before(met: Mapping[str, int], meta: Mapping[str, str]) -> None:
    found = counters(met, meta)
    assert not found.private(OTHER)
    assert found.networks("IpInReceives") == []


def test_the_tracers_own_is_never_the_programs_alone() -> None:
    found = counters({"IpInReceives": 0, "Ip6InReceives": 0})
    assert not found.private(OWN)
    assert not found.private(None)


def test_in_a_lab_all_are() -> None:
    found = counters({"IpInReceives": 7}, {"lab": "yes"})
    assert found.private(OWN)
    assert found.private(OTHER)
    assert found.private(None)
