"""What people type finds its rule."""

from __future__ import annotations

import pytest

from wallsocket.diagnose import all_rules, rule_of
from wallsocket.diagnose.search import errnos, search


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("connection reset by peer", "close-with-unread-data"),
        ("Connection refused", "nobody-listens"),
        ("[Errno 98] Address already in use", "address-in-use-listener"),
        ("address already in use", "address-in-use-listener"),
        ("broken pipe", "write-after-peer-closed"),
        ("BrokenPipeError", "write-after-peer-closed"),
        ("BrokenPipeError: [Errno 32] Broken pipe", "write-after-peer-closed"),
        ("address family not supported", "inet6-off"),
        ("[Errno 97] Address family not supported by protocol", "inet6-off"),
        ("hangs", "both-wait"),
        ("my program hangs", "both-wait"),
        ("stuck in recv", "both-wait"),
        ("slow 40 ms", "nagle-delayed-ack"),
        ("40ms delay", "nagle-delayed-ack"),
        ("40 ms latency", "nagle-delayed-ack"),
        ("too many open files", "descriptor-limit"),
        ("EMFILE", "descriptor-limit"),
        ("message truncated", "one-recv-per-message"),
        ("CLOSE_WAIT", "close-wait"),
        ("lost datagrams", "receive-buffer-overflow"),
        ("UDP packet loss", "receive-buffer-overflow"),
        ("localhost not working in docker", "other-network-namespace"),
        ("no route to host", "host-unreachable"),
        ("Network is unreachable", "network-unreachable"),
        ("connection timed out", "connection-timed-out"),
        ("connect timeout", "syn-unanswered"),
        ("can't assign requested address", "address-not-local"),
        ("curl: (52) Empty reply from server", "ended-before-answer"),
        ("Permission denied", "privileged-port"),
        ("Transport endpoint is not connected", "call-in-wrong-state"),
    ],
)
def test_a_symptom_finds_its_rule(words: str, rule: str) -> None:
    assert search(all_rules(), words)[0].id == rule


def test_the_same_cause_in_recordings_and_in_pictures_comes_first() -> None:
    found = search(all_rules(), "getaddrinfo: Temporary failure in name resolution")[:4]
    assert {rule.id for rule in found} >= {"name-server-silent", "waits-for-name-server"}


def test_an_error_is_the_same_by_name_by_number_and_by_text() -> None:
    found = [{rule.id for rule in search(all_rules(), text)} for text in ("ECONNRESET", "econnreset", "errno 104")]
    assert found[0] == found[1] == found[2]
    assert found[0] <= {rule.id for rule in search(all_rules(), "connection reset by peer")}


def test_every_symptom_of_a_rule_leads_to_it() -> None:
    missed = [
        (rule.id, symptom)
        for rule in all_rules()
        for symptom in rule.symptoms
        if rule not in search(all_rules(), symptom)[:12]
    ]
    assert missed == []


def test_errors_of_which_symptoms_speak() -> None:
    rule = rule_of("call-in-wrong-state")
    assert rule is not None
    assert errnos(rule) == ["EDESTADDRREQ", "EINVAL", "EISCONN", "ENOTCONN", "EPIPE"]


@pytest.mark.parametrize("words", ["xyzzy", "", "the", "?!"])
def test_nonsense_finds_nothing(words: str) -> None:
    assert search(all_rules(), words) == []
