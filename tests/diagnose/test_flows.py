"""What is told from frames alone, and what is not: a capture may stand anywhere, show frames twice, or one direction."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.talk import MS, S, Talk

HELLO = b"\x16\x03\x01\x00\x20\x01" + bytes(31)


@pytest.fixture
def talk() -> Talk:
    made = Talk()
    made.opens()
    return made


def exchange(talk: Talk) -> None:
    talk.says(0, b"GET / HTTP/1.1\r\n\r\n")
    talk.says(1, b"HTTP/1.1 200 OK\r\n\r\n")


def test_a_talk_that_ends_in_order_is_healthy(talk: Talk, tmp_path: Path) -> None:
    exchange(talk)
    talk.segment(0, "F.")
    talk.segment(1, "F.")
    talk.segment(0, ".")
    assert talk.found(tmp_path) == []


def test_refused(tmp_path: Path) -> None:
    talk = Talk()
    talk.segment(0, "S", acknowledgement_number=0)
    talk.segment(1, "R.", sequence_number=0)
    assert talk.found(tmp_path) == ["nobody-listens strong error"]


def test_who_is_accepted_at_the_next_try_has_coped(tmp_path: Path) -> None:
    talk = Talk()
    talk.segment(0, "S", acknowledgement_number=0)
    talk.segment(1, "R.", sequence_number=0)
    talk.wait(S)
    talk.ports = (40001, 80)
    talk.opens()
    assert talk.found(tmp_path) == []


def test_a_syn_that_nobody_answers(tmp_path: Path) -> None:
    talk = Talk()
    talk.datagram(1, b"something that reaches the client")
    for pause in (1, 2, 4):
        talk.segment(0, "S", acknowledgement_number=0, sequence_number=1000)
        talk.wait(pause * S)
    assert talk.found(tmp_path) == ["syn-unanswered strong error"]


def test_a_capture_of_one_direction_cannot_tell_of_silence(tmp_path: Path) -> None:
    talk = Talk()
    for pause in (1, 2, 4):
        talk.segment(0, "S", acknowledgement_number=0, sequence_number=1000)
        talk.wait(pause * S)
    diagnosis = talk.diagnosis(tmp_path)
    assert diagnosis.findings == ()
    assert [one.missing for one in diagnosis.cannot_tell if one.rule == "syn-unanswered"] == ["wire"]


@pytest.mark.parametrize(("code", "rule"), [(13, "firewall-refuses"), (3, "firewall-refuses"), (1, "host-unreachable")])
def test_icmp_about_a_syn(code: int, rule: str, tmp_path: Path) -> None:
    talk = Talk()
    talk.segment(0, "S", acknowledgement_number=0)
    talk.icmp(3, code, source="10.0.0.254")
    assert talk.found(tmp_path) == [f"{rule} strong error"]


def test_a_datagram_for_a_closed_port(tmp_path: Path) -> None:
    talk = Talk(4567)
    talk.datagram(0, b"hello")
    talk.icmp(3, 3)
    assert talk.found(tmp_path) == ["datagram-refused strong warning"]


def test_traceroute_expects_closed_ports_and_a_late_answer_meets_one(tmp_path: Path) -> None:
    talk = Talk(33440)
    talk.datagram(0, b"probe")
    talk.icmp(3, 3)
    talk.ports = (40000, 5000)
    talk.datagram(0, b"question")
    talk.datagram(1, b"answer, too late")
    talk.icmp(3, 3)
    assert talk.found(tmp_path) == []


def test_a_reset_in_the_place_of_an_answer(talk: Talk, tmp_path: Path) -> None:
    talk.says(0, b"a question")
    talk.segment(1, "R.")
    assert talk.found(tmp_path) == ["connection-reset strong warning"]


def test_a_reset_that_lost_nothing_is_a_note(talk: Talk, tmp_path: Path) -> None:
    exchange(talk)
    talk.segment(1, "R.")
    assert talk.found(tmp_path) == ["connection-reset strong note"]


def test_a_reset_after_both_ends_is_no_fault(talk: Talk, tmp_path: Path) -> None:
    exchange(talk)
    talk.segment(0, "F.")
    talk.segment(1, "F.")
    talk.segment(0, "R.")
    assert talk.found(tmp_path) == []


@pytest.mark.parametrize(("pause", "expected"), [(60 * S, ["connection-forgotten strong error"]), (MS, [])])
def test_an_end_that_knows_nothing_of_the_connection(
    talk: Talk, pause: int, expected: list[str], tmp_path: Path
) -> None:
    exchange(talk)
    talk.wait(pause)
    said = talk.next[1]
    talk.segment(0, "P.", b"are you there?")
    talk.segment(1, "R", sequence_number=said, acknowledgement_number=0)
    found = talk.found(tmp_path)
    assert [one for one in found if one.startswith("connection-forgotten")] == expected


def test_data_for_who_has_closed(talk: Talk, tmp_path: Path) -> None:
    exchange(talk)
    talk.segment(1, "F.")
    talk.segment(0, ".")
    talk.segment(0, "P.", bytes(100))
    talk.segment(1, "R", sequence_number=talk.next[1], acknowledgement_number=0)
    assert talk.found(tmp_path) == ["write-after-peer-closed certain warning"]


def test_data_on_their_way_when_the_end_came_are_no_fault_of_the_sender(talk: Talk, tmp_path: Path) -> None:
    exchange(talk)
    before = talk.next[1]
    talk.segment(1, "F.")
    talk.segment(0, "P.", bytes(100), acknowledgement_number=before, sequence_number=talk.next[0])
    talk.segment(1, "R", sequence_number=before, acknowledgement_number=0)
    assert "write-after-peer-closed" not in " ".join(talk.found(tmp_path))


def test_the_next_request_crosses_the_end_of_an_idle_connection(talk: Talk, tmp_path: Path) -> None:
    exchange(talk)
    talk.wait(5 * S)
    before = talk.next[1]
    talk.segment(1, "F.")
    talk.segment(0, "P.", b"GET /next HTTP/1.1\r\n\r\n", acknowledgement_number=before)
    talk.segment(1, "R", sequence_number=before, acknowledgement_number=0)
    assert talk.found(tmp_path) == ["keep-alive-race strong error"]


def test_a_closed_window_that_is_asked_for(talk: Talk, tmp_path: Path) -> None:
    talk.segment(0, "P.", bytes(1000))
    talk.segment(1, ".", window=0)
    for pause in (200 * MS, 400 * MS, 800 * MS):
        talk.wait(pause)
        talk.segment(0, ".", sequence_number=talk.next[0] - 1)
        talk.segment(1, ".", window=0)
    assert talk.found(tmp_path) == ["slow-reader strong warning"]


def test_a_closed_window_that_nobody_waits_for(talk: Talk, tmp_path: Path) -> None:
    talk.segment(0, "P.", bytes(1000))
    talk.segment(1, ".", window=0)
    talk.wait(10 * S)
    talk.segment(1, ".", window=1000)
    assert talk.found(tmp_path) == []


def bulk(talk: Talk, *, lost: int, twice: bool = False) -> None:
    """A hundred and twenty segments, of which some are sent again; with ``twice`` each is seen on two interfaces."""
    for number in range(120):
        before = talk.next[0]
        talk.segment(0, ".", bytes(1400))
        if twice:
            talk.again()
        if number < lost:
            talk.segment(0, ".", bytes(1400), sequence_number=before)
        talk.segment(1, ".")


def test_segments_that_are_sent_again(talk: Talk, tmp_path: Path) -> None:
    bulk(talk, lost=10)
    assert talk.found(tmp_path) == ["segments-lost strong note"]


def test_frames_that_are_seen_twice_are_not_sent_again(talk: Talk, tmp_path: Path) -> None:
    bulk(talk, lost=0, twice=True)
    assert talk.found(tmp_path) == []


@pytest.mark.parametrize("told", [True, False])
def test_full_segments_that_vanish(talk: Talk, told: bool, tmp_path: Path) -> None:
    exchange(talk)
    begin = talk.next[0]
    talk.segment(0, ".", bytes(1448))
    if told:
        talk.icmp(3, 4, source="10.0.0.254", rest=1400)
    for pause in (300 * MS, 600 * MS, 1200 * MS):
        talk.wait(pause)
        talk.segment(0, ".", bytes(1448), sequence_number=begin)
        talk.segment(1, ".", acknowledgement_number=begin)
    found = talk.diagnosis(tmp_path).findings
    assert [one.rule for one in found] == ["path-mtu-black-hole"]
    assert ("says by ICMP" in found[0].why) == told


def test_an_end_that_acknowledges_nothing_any_more(talk: Talk, tmp_path: Path) -> None:
    exchange(talk)
    begin = talk.next[0]
    talk.segment(0, "P.", b"hello")
    for pause in (300 * MS, 600 * MS, 1200 * MS, 2400 * MS, 4800 * MS, 9600 * MS):
        talk.wait(pause)
        talk.segment(0, "P.", b"hello", sequence_number=begin)
    assert talk.found(tmp_path) == ["connection-timed-out strong error"]


@pytest.mark.parametrize(
    ("round_trip", "expected"), [(MS, ["nagle-delayed-ack strong warning"]), (41 * MS, [])], ids=["near", "far away"]
)
def test_a_second_segment_that_waits_for_the_acknowledgement(
    round_trip: int, expected: list[str], tmp_path: Path
) -> None:
    talk = Talk()
    talk.opens(round_trip)
    for _ in range(4):
        talk.segment(0, "P.", b"head")
        talk.wait(41 * MS)
        talk.segment(1, ".")
        talk.segment(0, "P.", b"body")
        talk.wait(round_trip)
        talk.segment(1, "P.", b"answer")
        talk.segment(0, ".")
    assert talk.found(tmp_path) == expected


def test_tls_and_plain_text(talk: Talk, tmp_path: Path) -> None:
    talk.says(0, HELLO)
    talk.says(1, b"220 mail.example ESMTP\r\n")
    assert talk.found(tmp_path) == ["protocols-differ certain error"]


@pytest.mark.parametrize(
    "hello", [b"\x80\x32\x01\x03\x03" + bytes(40), b"\x80\x80\x01\x03\x01" + bytes(40)], ids=["ssl2", "long"]
)
def test_an_old_form_of_hello_is_tls(talk: Talk, hello: bytes, tmp_path: Path) -> None:
    talk.says(0, hello)
    talk.says(1, HELLO)
    assert talk.found(tmp_path) == []


def test_an_upgrade_to_tls_is_no_mismatch(talk: Talk, tmp_path: Path) -> None:
    talk.says(1, b"220 mail.example ESMTP\r\n")
    talk.says(0, b"STARTTLS\r\n")
    talk.says(1, b"220 go ahead\r\n")
    talk.says(0, HELLO)
    talk.says(1, HELLO)
    assert talk.found(tmp_path) == []


def test_an_alert_says_why_the_handshake_ends(talk: Talk, tmp_path: Path) -> None:
    talk.says(0, HELLO)
    talk.says(1, b"\x15\x03\x03\x00\x02\x02\x30")
    found = talk.diagnosis(tmp_path).findings
    assert [(one.rule, one.title) for one in found] == [
        ("tls-alert", "the TLS handshake ends with the alert unknown_ca")
    ]


def dns(code: int, *, answer: bool = True, cut: bool = False, name: bytes = b"\7service\7example\0") -> bytes:
    question = name + b"\0\1\0\1"
    if not answer:
        return b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + question
    flags = bytes((0x81 | (2 if cut else 0), 0x80 | code))
    records = b"\0\1" if not code and not cut else b"\0\0"
    return b"\x12\x34" + flags + b"\0\1" + records + b"\0\0\0\0" + question


@pytest.mark.parametrize(
    ("code", "expected"), [(2, "warning"), (5, "warning"), (3, "note")], ids=["SERVFAIL", "REFUSED", "NXDOMAIN"]
)
def test_a_name_that_has_no_address(code: int, expected: str, tmp_path: Path) -> None:
    talk = Talk(53)
    talk.datagram(0, dns(0, answer=False))
    talk.datagram(1, dns(code))
    assert talk.found(tmp_path) == [f"name-lookup-fails strong {expected}"]


def test_the_right_suffix_of_a_search_list(tmp_path: Path) -> None:
    talk = Talk(53)
    long = b"\7service\7example\5local\0"
    talk.datagram(0, dns(0, answer=False, name=long))
    talk.datagram(1, dns(3, name=long))
    talk.datagram(0, dns(0, answer=False))
    talk.datagram(1, dns(0))
    assert talk.found(tmp_path) == []


def test_a_silent_name_server(tmp_path: Path) -> None:
    talk = Talk(53)
    talk.datagram(0, dns(0, answer=False))
    talk.wait(5 * S)
    talk.datagram(0, dns(0, answer=False))
    talk.wait(5 * S)
    talk.ports = (40000, 9)
    talk.datagram(1, b"something else reaches the client")
    assert talk.found(tmp_path) == ["name-server-silent strong error"]


def test_an_answer_that_was_cut(tmp_path: Path) -> None:
    talk = Talk(53)
    talk.datagram(0, dns(0, answer=False))
    talk.datagram(1, dns(0, cut=True))
    talk.wait(2 * S)
    talk.ports = (40000, 9)
    talk.datagram(0, b"the program goes on")
    assert talk.found(tmp_path) == ["dns-answer-cut strong error"]
    talk.ports = (40001, 53)
    talk.opens()
    assert talk.found(tmp_path) == []


@pytest.mark.parametrize("next_to_it", [True, False])
def test_an_address_that_nobody_has(next_to_it: bool, tmp_path: Path) -> None:
    talk = Talk()
    if next_to_it:
        talk.datagram(1, b"something reaches the asker")
    for _ in range(4):
        talk.asks_who_has("10.0.0.77")
        talk.wait(S)
    # Elsewhere on the link the answers, which go to the asker alone, are not seen.
    assert talk.found(tmp_path) == (["host-unreachable strong warning"] if next_to_it else [])
