"""Datagrams that vanish, and the healthy programs that look like it."""

from __future__ import annotations

import errno
import socket as sockets
import struct

import pytest

from tests.diagnose.story import AGAIN, IN_USE, MS, REFUSED, S, Story, inet

UDP = {"type": sockets.SOCK_DGRAM}
NOBODY = ("127.0.0.1", 5005)


def asking(story: Story, *, connected: bool = False, process: int | None = None) -> int:
    """A UDP socket of a client."""
    client = story.process("client") if process is None else process
    return story.socket(client, ("127.0.0.1", 40001), NOBODY if connected else None, **UDP)


def ask(story: Story, asker: int, where: tuple[str, int] = NOBODY, payload: bytes = b"what time?") -> int:
    return story.call("sendto", asker, len(payload), length=len(payload), payload=payload, address=inet(*where))


def serving(story: Story, where: tuple[str, int] = NOBODY, command: str = "server", **more: object) -> int:
    """A UDP socket that is bound by name."""
    server = story.process(command)
    made = story.socket(server, where, None, **UDP, **more)
    story.call("bind", made, address=inet(*where))
    return made


def read(story: Story, socket: int, payload: bytes, source: tuple[str, int] | None, **more: object) -> int:
    address = inet(*source) if source is not None else None
    return story.call("recvfrom", socket, len(payload), length=1500, payload=payload, address=address, **more)  # type: ignore[arg-type]


# -- refused, to nobody, too early


def test_a_connected_socket_is_told_of_a_closed_port() -> None:
    story = Story()
    asker = asking(story, connected=True)
    ask(story, asker)
    story.call("recvfrom", asker, REFUSED, length=1500)
    assert story.found() == ["datagram-refused certain error"]


def test_who_is_answered_after_all_has_coped() -> None:
    story = Story()
    asker = asking(story, connected=True)
    ask(story, asker)
    story.call("recvfrom", asker, REFUSED, length=1500)
    ask(story, asker)
    read(story, asker, b"noon", NOBODY)
    diagnosis = story.diagnosis()
    assert diagnosis.findings == ()
    assert diagnosis.not_judged == ()


def test_the_next_name_server_is_a_way_to_cope() -> None:
    story = Story()
    first = asking(story, connected=True)
    ask(story, first)
    story.call("recvfrom", first, REFUSED, length=1500)
    second = story.socket(1, ("127.0.0.1", 40002), ("127.0.0.3", 5005), **UDP)
    ask(story, second, ("127.0.0.3", 5005))
    read(story, second, b"noon", ("127.0.0.3", 5005))
    assert story.found() == []


def test_who_looks_for_open_ports_wants_to_be_refused() -> None:
    story = Story()
    client = story.process("scan")
    for port in range(6000, 6006):
        asker = story.socket(client, ("127.0.0.1", 40001), ("127.0.0.1", port), **UDP)
        ask(story, asker, ("127.0.0.1", port))
        story.call("recvfrom", asker, REFUSED, length=1500)
    assert story.found() == []


def test_an_unconnected_socket_is_not_told() -> None:
    story = Story()
    story.counter("UdpNoPorts", 0)
    asker = asking(story)
    ask(story, asker)
    story.counter("UdpNoPorts", 1)
    assert story.found() == ["datagrams-to-nobody strong error"]


def test_a_count_of_the_whole_host_proves_nothing() -> None:
    story = Story(lab="no")
    story.counter("UdpNoPorts", 0)
    ask(story, asking(story))
    story.counter("UdpNoPorts", 1)
    diagnosis = story.diagnosis()
    assert diagnosis.findings == ()
    assert "datagrams-to-nobody" in [question.rule for question in diagnosis.cannot_tell]


def test_a_receiver_that_never_answers_is_no_nobody() -> None:
    story = Story()
    story.counter("UdpNoPorts", 0)
    serving(story)
    ask(story, asking(story))
    story.counter("UdpNoPorts", 1)
    assert story.found() == []


@pytest.mark.parametrize("again", [False, True])
def test_sent_before_the_receiver_was_there(again: bool) -> None:
    story = Story()
    asker = asking(story, connected=True)
    ask(story, asker, payload=b"report 1")
    story.call("recvfrom", asker, REFUSED, length=1500)
    serving(story)
    ask(story, asker, payload=b"report 1" if again else b"report 2")
    assert story.found() == ([] if again else ["sent-before-bound certain error"])


# -- waits


def test_it_waits_for_ever() -> None:
    story = Story()
    asker = asking(story)
    ask(story, asker)
    story.call("recvfrom", asker, None, length=1500)
    story.now += 2 * S
    assert story.found() == ["no-time-limit-for-answer strong warning"]


@pytest.mark.parametrize("limit", ["option", "answer", "server"])
def test_it_does_not_wait_in_vain(limit: str) -> None:
    story = Story()
    asker = asking(story)
    if limit == "option":
        story.call("setsockopt", asker, a=1, b=20, value=struct.pack("<qq", 5, 0))
    if limit == "server":
        read(story, asker, b"what time?", NOBODY)
    ask(story, asker)
    if limit == "answer":
        read(story, asker, b"noon", NOBODY)
    story.call("recvfrom", asker, None, length=1500)
    story.now += 2 * S
    assert story.found() == []


# -- the end that is none


@pytest.mark.parametrize("more", [False, True])
def test_an_empty_datagram(more: bool) -> None:
    story = Story()
    collector = serving(story)
    sender = asking(story)
    ask(story, sender, payload=b"first")
    read(story, collector, b"first", ("127.0.0.1", 40001))
    ask(story, sender, payload=b"")
    read(story, collector, b"", ("127.0.0.1", 40001))
    story.call("close", collector)
    if more:
        ask(story, sender, payload=b"second")
    assert story.found() == (["empty-datagram-as-end certain error"] if more else [])


# -- one port, two sockets


@pytest.mark.parametrize(("reads", "expected"), [((0, 6), ["port-shared strong error"]), ((3, 3), []), ((0, 0), [])])
def test_two_sockets_have_one_port(reads: tuple[int, int], expected: list[str]) -> None:
    story = Story()
    older = serving(story)
    newer = serving(story)
    sender = asking(story)
    for socket, count in zip((older, newer), reads, strict=True):
        for number in range(count):
            ask(story, sender, payload=b"value %d" % number)
            read(story, socket, b"value %d" % number, ("127.0.0.1", 40001))
    story.now += 2 * S
    story.call("close", newer)
    assert story.found() == expected


def test_a_port_that_is_handed_over_is_had_twice_for_a_moment() -> None:
    story = Story()
    older, newer = serving(story), serving(story)
    story.call("close", older)
    sender = asking(story)
    for number in range(6):
        ask(story, sender, payload=b"value %d" % number)
        read(story, newer, b"value %d" % number, ("127.0.0.1", 40001))
    story.now += 2 * S
    story.call("close", newer)
    assert story.found() == []


# -- limits of size and room


@pytest.mark.parametrize(("asked", "granted", "expected"), [(8_000_000, 425_984, True), (100_000, 200_000, False)])
def test_a_buffer_that_was_cut(asked: int, granted: int, expected: bool) -> None:
    story = Story()
    collector = serving(story)
    story.call("setsockopt", collector, a=1, b=8, value=struct.pack("<i", asked))
    story.add("fact", 0, None, "sysctls", '{"net.core.rmem_max": "212992"}')
    story.state(collector, options=struct.pack("<HHHi", 1, 8, 4, granted))
    assert story.found() == (["buffer-clamped certain note"] if expected else [])


def test_too_long_for_any_datagram() -> None:
    story = Story()
    asker = asking(story)
    story.call("sendto", asker, -errno.EMSGSIZE, length=70_000, address=inet(*NOBODY))
    assert story.found() == ["datagram-too-long certain error"]


def test_who_looks_for_the_largest_datagram_gets_emsgsize() -> None:
    story = Story()
    asker = asking(story, connected=True)
    story.call("sendto", asker, -errno.EMSGSIZE, length=9_000)
    story.call("getsockopt", asker, a=0, b=14, value=struct.pack("<i", 1500))
    assert story.found() == []


def test_without_the_path_nobody_can_tell() -> None:
    story = Story()
    asker = asking(story)
    story.call("sendto", asker, -errno.EMSGSIZE, length=9_000, address=inet(*NOBODY))
    diagnosis = story.diagnosis()
    assert diagnosis.findings == ()
    assert "datagram-too-long" in [question.rule for question in diagnosis.cannot_tell]


@pytest.mark.parametrize("then", ["next", "again", "close"])
def test_a_unix_datagram_that_found_no_room(then: str) -> None:
    story = Story()
    logger = story.socket(story.process("logger"), None, None, family=sockets.AF_UNIX, type=sockets.SOCK_DGRAM)
    story.call("sendto", logger, AGAIN, length=6, payload=b"line 1")
    if then != "close":
        line = b"line 1" if then == "again" else b"line 2"
        story.call("sendto", logger, 6, length=6, payload=line)
    story.call("close", logger)
    assert story.found() == ([] if then == "again" else ["unix-datagram-no-room certain error"])


# -- who answers


def test_an_answer_from_elsewhere_that_was_not_taken() -> None:
    story = Story()
    asker = asking(story)
    ask(story, asker, ("10.0.0.9", 5005))
    read(story, asker, b"noon", ("10.0.0.1", 5005))
    story.call("recvfrom", asker, AGAIN, length=1500, took=1 * S)
    assert story.found() == ["answer-from-another-address strong error"]


@pytest.mark.parametrize("source", [("10.0.0.9", 6969), ("10.0.0.9", 5005)])
def test_another_port_of_the_same_host_is_how_tftp_answers(source: tuple[str, int]) -> None:
    story = Story()
    asker = asking(story)
    ask(story, asker, ("10.0.0.9", 5005))
    read(story, asker, b"noon", source)
    story.call("recvfrom", asker, AGAIN, length=1500, took=1 * S)
    assert story.found() == []


def test_a_question_to_all_is_answered_by_anybody() -> None:
    story = Story()
    asker = asking(story)
    ask(story, asker, ("10.0.0.255", 5005))
    read(story, asker, b"here", ("10.0.0.1", 5005))
    story.call("recvfrom", asker, AGAIN, length=1500, took=1 * S)
    assert story.found() == []


def dns(story: Story, *, truncated: bool) -> int:
    question = b"\x07service\x07example\x00\x00\x01\x00\x01"
    asker = asking(story)
    ask(story, asker, payload=struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + question)
    flags = 0x8180 | (0x0200 if truncated else 0)
    read(story, asker, struct.pack("!6H", 7, flags, 1, 0, 0, 0) + question, NOBODY)
    return asker


def test_a_cut_dns_answer() -> None:
    story = Story()
    dns(story, truncated=True)
    assert story.found() == ["dns-answer-cut certain error"]


@pytest.mark.parametrize("how", ["whole", "tcp"])
def test_a_dns_answer_that_is_whole_in_the_end(how: str) -> None:
    story = Story()
    dns(story, truncated=how == "tcp")
    if how == "tcp":
        again = story.socket(1, ("127.0.0.1", 40009), NOBODY)
        story.call("connect", again, address=inet(*NOBODY))
        story.call("close", again)
    assert story.found() == []


# -- groups


def join(story: Story, socket: int, group: str, result: int = 0, interface: str = "127.0.0.1") -> int:
    value = sockets.inet_aton(group) + sockets.inet_aton(interface)
    return story.call("setsockopt", socket, result, a=0, b=35, value=value)


def test_bound_to_a_unicast_address() -> None:
    story = Story()
    receiver = serving(story)
    join(story, receiver, "239.1.1.1")
    ask(story, asking(story), ("239.1.1.1", 5005))
    assert story.found() == ["group-not-joined certain error"]


def test_bound_to_all_and_not_joined() -> None:
    story = Story()
    serving(story, ("0.0.0.0", 5005))
    ask(story, asking(story), ("239.1.1.1", 5005))
    assert story.found() == ["group-not-joined strong error"]


@pytest.mark.parametrize("name", ["0.0.0.0", "239.1.1.1"])
def test_joined_and_heard(name: str) -> None:
    story = Story()
    receiver = serving(story, (name, 5005))
    join(story, receiver, "239.1.1.1")
    ask(story, asking(story), ("239.1.1.1", 5005))
    read(story, receiver, b"what time?", ("127.0.0.1", 40001))
    assert story.found() == []


def test_a_server_of_one_address_is_not_meant_by_groups() -> None:
    story = Story()
    serving(story)
    ask(story, asking(story), ("239.1.1.1", 5005))
    assert story.found() == []


def test_no_interface_for_the_group() -> None:
    story = Story()
    join(story, serving(story, ("0.0.0.0", 5005)), "239.1.1.1", -errno.ENODEV, "0.0.0.0")
    assert story.found() == ["group-on-other-interface certain error"]


def test_the_next_interface_is_tried() -> None:
    story = Story()
    receiver = serving(story, ("0.0.0.0", 5005))
    join(story, receiver, "239.1.1.1", -errno.ENODEV, "10.0.0.1")
    join(story, receiver, "239.1.1.1")
    assert [one for one in story.found() if one.startswith("group")] == []


def test_looping_is_off() -> None:
    story = Story()
    receiver = serving(story, ("0.0.0.0", 5005))
    join(story, receiver, "239.1.1.1")
    sender = asking(story)
    story.call("setsockopt", sender, a=0, b=34, value=struct.pack("<i", 0))
    ask(story, sender, ("239.1.1.1", 5005))
    assert story.found() == ["group-loop-off certain error"]


@pytest.mark.parametrize("reuse", [False, True])
def test_a_second_receiver(reuse: bool) -> None:
    story = Story()
    first = story.socket(story.process("receiver"), ("0.0.0.0", 5005), None, **UDP)
    if reuse:
        story.call("setsockopt", first, a=1, b=2, value=struct.pack("<i", 1))
    story.call("bind", first, address=inet("0.0.0.0", 5005))
    join(story, first, "239.1.1.1")
    second = story.socket(story.process("receiver"), None, None, **UDP)
    story.call("setsockopt", second, a=1, b=2, value=struct.pack("<i", 1))
    story.call("bind", second, IN_USE, address=inet("0.0.0.0", 5005))
    found = [one for one in story.found() if one.startswith("second")]
    assert found == ([] if reuse else ["second-receiver-refused certain error"])


@pytest.mark.parametrize("kept_out", [False, True])
def test_groups_of_others(kept_out: bool) -> None:
    story = Story()
    receiver = serving(story, ("0.0.0.0", 5005))
    join(story, receiver, "239.1.1.1")
    if kept_out:
        story.call("setsockopt", receiver, a=0, b=49, value=struct.pack("<i", 0))
    ask(story, asking(story), ("239.1.1.2", 5005))
    read(story, receiver, b"what time?", ("127.0.0.1", 40001))
    assert story.found() == ([] if kept_out else ["foreign-group-received strong warning"])


# -- order


@pytest.mark.parametrize(
    ("reads", "expected"),
    [("abc", []), ("bac", ["datagram-order strong note"]), ("aabc", ["datagram-order strong note"])],
)
def test_the_order_of_datagrams(reads: str, expected: list[str]) -> None:
    story = Story()
    receiver = serving(story)
    sender = asking(story)
    for part in "abc":
        ask(story, sender, payload=b"part " + part.encode())
    for part in reads:
        read(story, receiver, b"part " + part.encode(), ("127.0.0.1", 40001))
    assert story.found() == expected


def test_what_was_sent_twice_may_come_twice() -> None:
    story = Story()
    receiver = serving(story)
    sender = asking(story)
    for _ in range(2):
        ask(story, sender, payload=b"hello?")
        read(story, receiver, b"hello?", ("127.0.0.1", 40001))
    assert story.found() == []


def test_the_same_bytes_of_two_senders_are_two_datagrams() -> None:
    story = Story()
    receiver = serving(story)
    for _ in range(2):
        sender = asking(story)
        ask(story, sender, payload=b"hello?")
        read(story, receiver, b"hello?", ("127.0.0.1", 40001))
        ask(story, receiver, ("127.0.0.1", 40001), b"hello?")
        read(story, sender, b"hello?", NOBODY)
        story.call("close", sender)
    assert story.found() == []


# -- broadcast, raw


def test_broadcast_without_the_option() -> None:
    story = Story()
    asker = asking(story)
    story.call("sendto", asker, -errno.EACCES, length=3, address=inet("255.255.255.255", 5005))
    assert story.found() == ["broadcast-not-allowed certain error"]


def test_eacces_for_one_host_is_not_about_broadcasts() -> None:
    story = Story()
    asker = asking(story)
    story.call("sendto", asker, -errno.EACCES, length=3, address=inet("10.0.0.255", 5005))
    assert story.found() == []


@pytest.mark.parametrize(("capabilities", "expected"), [(0, True), (1 << 13, False)])
def test_a_raw_socket_needs_a_capability(capabilities: int, expected: bool) -> None:
    story = Story()
    any_socket = asking(story)
    call = story.call("socket", any_socket, -errno.EPERM, socket=None, fd=None, a=2, b=3, c=1)
    story.fact(call, "credentials", {"uid": 1000, "capabilities": capabilities})
    assert story.found() == (["raw-socket-forbidden certain error"] if expected else [])


def test_ping_falls_back_to_another_socket() -> None:
    story = Story()
    any_socket = asking(story)
    call = story.call("socket", any_socket, -errno.EPERM, socket=None, fd=None, a=2, b=3, c=1)
    story.fact(call, "credentials", {"uid": 1000, "capabilities": 0})
    story.call("socket", any_socket, 9, socket=None, fd=None, a=2, b=2, c=1)
    diagnosis = story.diagnosis()
    assert diagnosis.findings == ()
    assert diagnosis.not_judged == ()


# -- too late


def test_each_answer_comes_too_late() -> None:
    story = Story()
    server = serving(story)
    asker = asking(story)
    for number in range(3):
        question = b"question %d" % number
        ask(story, asker, payload=question)
        read(story, server, question, ("127.0.0.1", 40001))
        story.call("recvfrom", asker, AGAIN, length=1500, took=100 * MS)
        ask(story, server, ("127.0.0.1", 40001), b"answer")
    assert "time-limit-too-short strong error" in story.found()


def asked_by_a_loop(payloads: list[bytes], *, pause: int = 100 * MS) -> list[str]:
    """An event loop asks again after each pause; each answer comes when two more questions have been asked."""
    story = Story()
    server = serving(story)
    asker = asking(story)
    story.call("epoll_ctl", asker, a=1, c=1)
    for number, payload in enumerate(payloads):
        ask(story, asker, payload=payload)
        read(story, server, payload, ("127.0.0.1", 40001))
        if number >= 2:
            ask(story, server, ("127.0.0.1", 40001), payloads[number - 2][:4] + b"21.5")
            read(story, asker, payloads[number - 2][:4] + b"21.5", NOBODY)
        story.now += pause
    for payload in payloads[-2:]:
        ask(story, server, ("127.0.0.1", 40001), payload[:4] + b"21.5")
        read(story, asker, payload[:4] + b"21.5", NOBODY)
    return [line for line in story.found() if line.startswith("time-limit-too-short")]


def test_an_event_loop_asks_the_same_again_before_each_answer() -> None:
    assert asked_by_a_loop([b"%04dtemperature" % number for number in range(3)]) == ["time-limit-too-short hint note"]


@pytest.mark.parametrize(
    ("payloads", "pause"),
    [
        ([b"%04d%d-temperature" % (number, number) for number in range(3)], 100 * MS),  # each asks something else
        ([b"%04dtemperature" % number for number in range(3)], MS),  # it asks ahead
        ([b"%04dtemperature" % number for number in range(20)], 100 * MS),  # it asks for ever, and has its answers
    ],
)
def test_an_event_loop_that_asks_ahead(payloads: list[bytes], pause: int) -> None:
    assert asked_by_a_loop(payloads, pause=pause) == []
