"""Addresses, routes and what stands between two ends: the smallest proof, and the near cases that are none."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

import pytest

from tests.diagnose.story import AGAIN, IN_USE, MS, PIPE, REFUSED, S, Story, inet

SYN_SENT, LISTEN, ESTABLISHED = 2, 10, 1
UNREACHABLE, NO_ROUTE, TIMED_OUT = -errno.EHOSTUNREACH, -errno.ENETUNREACH, -errno.ETIMEDOUT
IN_PROGRESS, NO_ADDRESS, INVALID = -errno.EINPROGRESS, -errno.EADDRNOTAVAIL, -errno.EINVAL


def unix(path: str) -> bytes:
    return struct.pack("=H", socket.AF_UNIX) + path.encode() + b"\0"


def tried(story: Story, host: str, result: int | None, *, process: int | None = None, **more: Any) -> tuple[int, int]:
    """A connect to port 80 of a host: its socket and its call."""
    process = process or story.process("client")
    client = story.socket(process, None, None)
    return client, story.call("connect", client, result, address=inet(host, 80), **more)


# -- routes


def test_no_route() -> None:
    story = Story()
    _, call = tried(story, "192.0.2.1", NO_ROUTE)
    story.fact(call, "route", {"to": "192.0.2.1", "errno": errno.ENETUNREACH})
    assert story.found() == ["network-unreachable certain error"]


def test_a_router_without_a_route_is_not_certain() -> None:
    story = Story()
    _, call = tried(story, "192.0.2.1", NO_ROUTE)
    story.fact(call, "route", {"to": "192.0.2.1", "interface": "eth0"})
    assert story.found() == ["network-unreachable strong error"]


def test_the_loopback_is_down() -> None:
    story = Story()
    _, call = tried(story, "127.0.0.1", NO_ROUTE)
    story.fact(call, "route", {"to": "127.0.0.1", "errno": errno.ENETUNREACH})
    story.fact(call, "links", [{"interface": "lo", "flags": 0x8}])
    assert "loopback interface is down" in story.diagnosis().findings[0].title


def test_ipv6_without_a_route_is_no_fault_where_ipv4_was_tried() -> None:
    story = Story()
    process = story.process("client")
    _, call = tried(story, "2001:db8::1", NO_ROUTE, process=process)
    story.fact(call, "route", {"to": "2001:db8::1", "errno": errno.ENETUNREACH})
    tried(story, "192.0.2.1", REFUSED, process=process)
    assert [one.rule for one in story.diagnosis().findings] == ["nobody-listens"]


def test_a_connect_of_a_datagram_socket_only_asks_for_a_route() -> None:
    story = Story()
    probe = story.socket(story.process("resolver"), None, None, family=socket.AF_INET6, type=socket.SOCK_DGRAM)
    story.call("connect", probe, NO_ROUTE, address=inet("2001:db8::1", 443))
    story.call("close", probe)
    assert story.found() == []
    assert story.diagnosis().not_judged == ()


def test_nobody_answers_for_the_next_hop() -> None:
    story = Story()
    _, call = tried(story, "10.0.0.7", UNREACHABLE, took=3 * S)
    story.fact(call, "route", {"to": "10.0.0.7", "interface": "eth0"})
    story.fact(call, "neighbours", [{"address": "10.0.0.7", "interface": "eth0", "state": "failed"}])
    assert story.found() == ["host-unreachable certain error"]


def test_a_reachable_neighbour_means_that_somebody_else_said_so() -> None:
    story = Story()
    _, call = tried(story, "10.0.0.7", UNREACHABLE)
    story.fact(call, "route", {"to": "10.0.0.7", "interface": "eth0"})
    story.fact(call, "neighbours", [{"address": "10.0.0.7", "interface": "eth0", "state": "reachable"}])
    assert story.found() == ["host-unreachable strong error"]


def test_it_was_got_over() -> None:
    story = Story()
    process = story.process("client")
    tried(story, "10.0.0.7", UNREACHABLE, process=process)
    tried(story, "10.0.0.8", 0, process=process)
    assert story.found() == []
    assert story.diagnosis().not_judged == ()


@pytest.mark.parametrize(
    ("device", "found"), [("lo", ["wrong-device certain error"]), ("eth0", ["host-unreachable certain error"])]
)
def test_the_device_that_the_socket_is_tied_to(device: str, found: list[str]) -> None:
    story = Story()
    client = story.socket(story.process("client"), None, None)
    story.call("setsockopt", client, a=1, b=25, value=device.encode() + b"\0")
    call = story.call("connect", client, UNREACHABLE, address=inet("10.0.0.7", 80))
    story.fact(call, "route", {"to": "10.0.0.7", "interface": "eth0"})
    story.fact(call, "neighbours", [{"address": "10.0.0.7", "state": "failed"}])
    assert story.found() == found


@pytest.mark.parametrize(("own", "found"), [("127.0.0.1", ["source-is-loopback"]), ("10.0.0.1", [])])
def test_a_source_on_the_loopback(own: str, found: list[str]) -> None:
    story = Story()
    client = story.socket(story.process("client"), (own, 40000), None)
    story.call("bind", client, address=inet(own, 0))
    story.call("connect", client, INVALID, address=inet("10.0.0.7", 80))
    assert [one.rule for one in story.diagnosis().findings] == found


@pytest.mark.parametrize(("zone", "found"), [(0, ["link-local-without-interface"]), (2, [])])
def test_a_link_local_address(zone: int, found: list[str]) -> None:
    story = Story()
    client = story.socket(story.process("client"), None, None, family=socket.AF_INET6)
    address = inet("fe80::1", 80)[:-4] + struct.pack("=I", zone)
    story.call("connect", client, INVALID, address=address)
    assert [one.rule for one in story.diagnosis().findings] == found


# -- no answer


def given_up(*, waited_ns: int, repeated: int, state: int = SYN_SENT) -> Story:
    story = Story()
    client, _ = tried(story, "10.0.0.7", IN_PROGRESS)
    info = bytearray(232)
    info[0] = state
    struct.pack_into("<I", info, 100, repeated)  # tcpi_total_retrans
    story.state(client, at=story.now + waited_ns // 2, state=state, tcp_info=bytes(info))
    story.now += waited_ns
    story.call("close", client)
    return story


def test_the_syn_was_repeated_until_the_program_gave_up() -> None:
    assert given_up(waited_ns=3 * S, repeated=1).found() == ["syn-unanswered strong error"]


@pytest.mark.parametrize(
    ("waited_ns", "repeated", "state"), [(3 * S, 0, SYN_SENT), (200 * MS, 1, SYN_SENT), (3 * S, 1, ESTABLISHED)]
)
def test_giving_up_early_or_a_connection_that_came_about_says_nothing(
    waited_ns: int, repeated: int, state: int
) -> None:
    rules = [one.rule for one in given_up(waited_ns=waited_ns, repeated=repeated, state=state).diagnosis().findings]
    assert "syn-unanswered" not in rules


def test_shutdown_of_a_handshake_gives_it_up() -> None:
    story = Story()
    client, _ = tried(story, "10.0.0.7", IN_PROGRESS)
    info = bytearray(104)
    info[0], info[2] = SYN_SENT, 2  # tcpi_state, tcpi_retransmits
    story.now += 3 * S
    story.call(
        "shutdown",
        client,
        a=1,
        entry={"state": SYN_SENT, "tcp_info": bytes(info)},
        exit={"state": 7, "tcp_info": bytes(info)},
    )
    story.call("close", client)
    assert story.found() == ["syn-unanswered strong error"]


@pytest.mark.parametrize(("took", "found"), [(2 * S, []), (1 * MS, ["connect-in-progress strong error"])])
def test_a_blocking_connect_whose_time_limit_ran_out_was_not_taken_for_a_failure(took: int, found: list[str]) -> None:
    story = Story()
    client, _ = tried(story, "10.0.0.7", IN_PROGRESS, took=took)
    story.call("close", client)
    assert story.found() == found


def test_the_first_address_is_dead() -> None:
    story = Story()
    process = story.process("client")
    tried(story, "10.0.0.7", TIMED_OUT, process=process, took=2 * S)
    tried(story, "10.0.0.8", 0, process=process)
    assert story.found() == ["dead-address-first strong warning"]


def test_addresses_that_are_tried_at_once_cost_no_time() -> None:
    story = Story()
    process = story.process("client")
    first, _ = tried(story, "10.0.0.7", IN_PROGRESS, process=process)
    story.state(first, state=SYN_SENT)
    story.now += 250 * MS
    tried(story, "10.0.0.8", 0, process=process)
    story.now += 2 * S
    story.call("close", first)
    assert story.found() == []


# -- ports and names


def exhausted(count: int, highest: int = 50063) -> Story:
    story = Story()
    _, call = tried(story, "10.0.0.7", NO_ADDRESS)
    row = {"protocol": "tcp", "state": 6, "remote": "10.0.0.7:80", "pids": []}
    story.fact(call, "sockets", [{**row, "local": f"10.0.0.1:{50000 + number}"} for number in range(count)])
    story.fact(call, "sysctls", {"net.ipv4.ip_local_port_range": f"50000 {highest}"})
    return story


def test_every_local_port_is_in_use() -> None:
    assert exhausted(64).found() == ["local-ports-exhausted certain error"]


def test_connect_leaves_the_last_of_an_odd_number_of_ports() -> None:
    assert exhausted(62, highest=50062).found() == ["local-ports-exhausted certain error"]


def test_that_a_port_came_back_takes_nothing_from_who_found_none() -> None:
    story = exhausted(64)
    tried(story, "10.0.0.7", 0)
    assert story.found() == ["local-ports-exhausted certain error"]


def test_a_few_connections_leave_ports() -> None:
    assert exhausted(10).found() == []


def bound_path(*, listeners: list[dict[str, Any]], later: bool = False) -> Story:
    story = Story()
    daemon = story.process("daemon")
    listener = story.socket(daemon, None, None, family=socket.AF_UNIX)
    call = story.call("bind", listener, IN_USE, address=unix("/run/app"))
    story.fact(call, "path", {"path": "/run/app", "file": {"type": "socket", "inode": 7}, "listeners": listeners})
    if later:
        again = story.socket(daemon, None, None, family=socket.AF_UNIX)
        story.call("bind", again, address=unix("/run/app"))
    return story


def test_a_path_that_nobody_owns() -> None:
    assert bound_path(listeners=[]).found() == ["stale-unix-path certain error"]


def test_a_path_whose_file_was_made_anew_is_stale_though_a_listener_has_its_name() -> None:
    assert bound_path(listeners=[{"inode": 3, "file_inode": 6}]).found() == ["stale-unix-path certain error"]


@pytest.mark.parametrize(("listeners", "later"), [([{"inode": 3, "file_inode": 7}], False), ([], True)])
def test_a_path_that_is_owned_or_that_was_had_in_the_end(listeners: list[dict[str, Any]], later: bool) -> None:
    assert "stale-unix-path" not in [
        one.rule for one in bound_path(listeners=listeners, later=later).diagnosis().findings
    ]


def test_without_the_kernels_word_about_the_path_it_cannot_tell() -> None:
    story = Story()
    client = story.socket(story.process("client"), None, None, family=socket.AF_UNIX)
    story.call("connect", client, REFUSED, address=unix("/run/app"))
    assert "stale-unix-path" in [question.rule for question in story.diagnosis().cannot_tell]


def test_both_ends_are_one_socket() -> None:
    story = Story()
    here = ("127.0.0.1", 50000)
    client = story.socket(story.process("client"), here, here)
    story.call("connect", client, 0, address=inet(*here), exit={"state": ESTABLISHED})
    assert story.found() == ["self-connect certain error"]


@pytest.mark.parametrize(
    ("flags", "found"), [(["tentative"], "tentative-address"), (["dadfailed"], "tentative-address"), ([], None)]
)
def test_an_address_that_is_not_usable_yet(flags: list[str], found: str | None) -> None:
    story = Story()
    server = story.socket(story.process("server"), None, None, family=socket.AF_INET6)
    call = story.call("bind", server, NO_ADDRESS, address=inet("fd00::5", 80))
    story.fact(call, "addresses", [{"interface": "eth0", "address": "fd00::5", "prefix": 64, "flags": flags}])
    assert [one.rule for one in story.diagnosis().findings] == ([found] if found else [])


@pytest.mark.parametrize(("port", "off", "found"), [(80, "1", ["inet6-off"]), (0, "1", []), (80, "0", [])])
def test_ipv6_is_off(port: int, off: str, found: list[str]) -> None:
    story = Story()
    server = story.socket(story.process("server"), None, None, family=socket.AF_INET6)
    call = story.call("bind", server, NO_ADDRESS, address=inet("::1", port))
    story.fact(call, "sysctls", {"net.ipv6.conf.all.disable_ipv6": off})
    assert [one.rule for one in story.diagnosis().findings] == found


# -- between the ends


def refused_with(story: Story, kind: str, value: Any) -> Story:
    _, call = tried(story, "127.0.0.1", REFUSED)
    story.fact(call, "sockets", [])
    story.fact(call, kind, value)
    return story


@pytest.mark.parametrize(
    ("variables", "rule"),
    [
        ({"http_proxy": "http://localhost:80"}, "proxy-from-environment"),
        ({"HTTPS_PROXY": "127.0.0.1:80"}, "proxy-from-environment"),
        ({"http_proxy": "http://127.0.0.1:3128"}, "nobody-listens"),
        ({"no_proxy": "127.0.0.1:80"}, "nobody-listens"),
        ({"http_proxy": "http://127.0.0.1:99999"}, "nobody-listens"),
    ],
)
def test_the_proxy_of_the_environment(variables: dict[str, str], rule: str) -> None:
    assert [one.rule for one in refused_with(Story(), "proxies", variables).diagnosis().findings] == [rule]


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        (b"227 Entering Passive Mode (127,0,0,1,0,80).\r\n", "address-from-answer"),
        (b"-MOVED 3999 127.0.0.1:80\r\n", "address-from-answer"),
        (b"\0\x09localhost\0\0\0\x50", "address-from-answer"),
        (b"227 Entering Passive Mode (127,0,0,1,0,81).\r\n", "nobody-listens"),
        (b"-MOVED 3999 127.0.0.1:8080\r\n", "nobody-listens"),
        (b"+OK\r\n", "nobody-listens"),
    ],
)
def test_an_address_out_of_an_answer(told: bytes, rule: str) -> None:
    story = Story()
    process = story.process("client")
    control = story.socket(process, ("127.0.0.1", 40000), ("127.0.0.1", 21))
    story.call("recvfrom", control, len(told), length=4096, payload=told)
    _, call = tried(story, "127.0.0.1", REFUSED, process=process)
    story.fact(call, "sockets", [])
    assert [one.rule for one in story.diagnosis().findings] == [rule]


@pytest.mark.parametrize(
    ("status", "length", "rule"),
    [
        (b"302 Found", 200, "address-from-answer"),
        (b"302 Found", 64, "nobody-listens"),
        (b"200 OK", 200, "nobody-listens"),
    ],
    ids=["its address was not recorded", "recorded, another address", "no redirect"],
)
def test_a_redirect_whose_address_was_not_recorded(status: bytes, length: int, rule: str) -> None:
    story = Story()
    process = story.process("client")
    web = story.socket(process, ("127.0.0.1", 40000), ("127.0.0.1", 8080))
    head = (b"HTTP/1.1 " + status + b"\r\nServer: a\r\n").ljust(64, b"x")
    story.call("recvfrom", web, length, length=4096, payload=head)
    _, call = tried(story, "127.0.0.1", REFUSED, process=process)
    story.fact(call, "sockets", [])
    assert [one.rule for one in story.diagnosis().findings] == [rule]


def asked(story: Story, process: int, server: str = "10.0.0.53") -> int:
    resolver = story.socket(process, ("10.0.0.1", 40000), (server, 53), type=socket.SOCK_DGRAM)
    question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02ab\0\0\x01\0\x01"
    story.call("sendto", resolver, len(question), length=len(question), payload=question, address=inet(server, 53))
    return resolver


@pytest.mark.parametrize(
    ("port", "tail", "found"),
    [(5354, b"", True), (5354, b"\0", False), (5354, b"\0\0\x29\x04\xd0\0\0\0\0\0\0", True), (5353, b"", False)],
)
def test_a_question_to_a_name_server_on_a_port_of_its_own(port: int, tail: bytes, found: bool) -> None:
    story = Story()
    resolver = story.socket(story.process("client"), None, None, type=socket.SOCK_DGRAM)
    extra = b"\1" if len(tail) > 1 else b"\0"
    question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0" + extra + b"\x03api\x02ab\0\0\x01\0\x01" + tail
    story.call(
        "sendto", resolver, len(question), length=len(question), payload=question, address=inet("10.0.0.2", port)
    )
    story.now += 5 * S
    story.call("close", resolver)
    assert ("name-server-silent strong error" in story.found()) is found


def test_a_name_server_that_does_not_answer() -> None:
    story = Story()
    process = story.process("client")
    asked(story, process)
    story.now += 5 * S
    asked(story, process)
    story.now += 5 * S
    assert story.found() == ["name-server-silent strong error"]


def test_a_name_server_that_answers_late_but_in_time() -> None:
    story = Story()
    resolver = asked(story, story.process("client"))
    story.now += 4 * S
    answer = b"\x12\x34\x81\x80\0\x01\0\0\0\0\0\0\x02ab\0\0\x01\0\x01"
    story.call("recvfrom", resolver, len(answer), length=512, payload=answer)
    assert story.found() == []


def test_what_the_own_filter_drops() -> None:
    story = Story()
    sender = story.socket(story.process("client"), None, None, type=socket.SOCK_DGRAM)
    story.call("sendto", sender, -errno.EPERM, length=4, address=inet("10.0.0.7", 53))
    assert story.found() == ["local-filter certain error"]


@pytest.mark.parametrize(("first", "rule"), [("1024", "security-policy"), ("9000", "privileged-port")])
def test_a_policy_forbids_what_the_port_allows(first: str, rule: str) -> None:
    story = Story()
    server = story.socket(story.process("server"), None, None)
    call = story.call("bind", server, -errno.EACCES, address=inet("127.0.0.1", 8080))
    story.fact(call, "sysctls", {"net.ipv4.ip_unprivileged_port_start": first})
    assert [one.rule for one in story.diagnosis().findings] == [rule]


def shared(*, accepts: int, waiting: int) -> Story:
    """Two listeners of one process on one port; the second takes ``accepts`` connections, ``waiting`` stand in it."""
    story = Story()
    server = story.process("server")
    listeners = [story.socket(server, ("127.0.0.1", 4567), None) for _ in range(2)]
    for listener in listeners:
        story.call("setsockopt", listener, a=1, b=15, value=struct.pack("<i", 1))
        story.call("bind", listener, address=inet("127.0.0.1", 4567))
        story.call("listen", listener, a=5)
    story.call("accept", listeners[0], 9)
    for _ in range(accepts):
        story.call("accept", listeners[1], 9)
    for at in (0, 1, 2, 3):
        story.state(listeners[1], at=story.now + at * S, state=LISTEN, receive=waiting, send=5)
    story.now += 3 * S
    return story


def test_one_of_two_listeners_is_not_served() -> None:
    assert "listener-not-served certain error" in shared(accepts=0, waiting=2).found()


@pytest.mark.parametrize(("accepts", "waiting"), [(1, 2), (0, 0)])
def test_listeners_that_are_served_or_that_nobody_waits_at(accepts: int, waiting: int) -> None:
    assert "listener-not-served" not in [
        one.rule for one in shared(accepts=accepts, waiting=waiting).diagnosis().findings
    ]


def test_a_refusal_where_somebody_listened_stays_open_while_the_namespaces_are_not_known() -> None:
    story = Story()
    listener = story.socket(story.process("server"), ("127.0.0.1", 80), None)
    story.call("bind", listener, address=inet("127.0.0.1", 80))
    story.call("listen", listener, a=5)
    tried(story, "127.0.0.1", REFUSED)
    story.state(listener, state=LISTEN, send=5)
    diagnosis = story.diagnosis()
    assert "firewall-refuses" not in [one.rule for one in diagnosis.findings]
    assert "nobody-listens" in [one.rule for one in diagnosis.cannot_tell]


def through_proxy(request: bytes, status: bytes, where: tuple[str, int] = ("10.0.0.3", 3128)) -> list[str]:
    story = Story()
    client = story.socket(story.process("client"), ("10.0.0.1", 40000), where)
    story.call("connect", client, 0, address=inet(*where))
    story.call("sendto", client, len(request), length=len(request), payload=request)
    story.call("recvfrom", client, len(status), length=4096, payload=status)
    return [one for one in story.found() if one.startswith("request-through-proxy")]


@pytest.mark.parametrize(
    ("request_", "status", "found"),
    [
        (b"GET http://127.0.0.1:8080/ HTTP/1.1\r\n", b"HTTP/1.1 503 x\r\n", ["request-through-proxy strong warning"]),
        (b"CONNECT localhost:443 HTTP/1.1\r\n", b"HTTP/1.1 403 x\r\n", ["request-through-proxy strong warning"]),
        (b"GET http://store.example/ HTTP/1.1\r\n", b"HTTP/1.1 404 x\r\n", ["request-through-proxy hint note"]),
        (b"GET http://127.0.0.1:8080/ HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", []),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"HTTP/1.1 503 x\r\n", []),
        (b"GET http://10.0.0.3:3128/ HTTP/1.1\r\n", b"HTTP/1.1 503 x\r\n", []),
    ],
)
def test_a_request_that_went_to_a_proxy(request_: bytes, status: bytes, found: list[str]) -> None:
    assert through_proxy(request_, status) == found


@pytest.mark.parametrize(("port", "found"), [(0, ["bind-ports-exhausted certain error"]), (80, [])])
def test_a_bind_for_which_no_port_is_left(port: int, found: list[str]) -> None:
    story = Story()
    answer = story.socket(story.process("client"), None, None)
    call = story.call("bind", answer, IN_USE, address=inet("127.0.0.1", port))
    story.fact(call, "sysctls", {"net.ipv4.ip_local_port_range": "50000 50007"})
    assert [one for one in story.found() if one.startswith("bind-ports")] == found


@pytest.mark.parametrize(("port", "found"), [(0, ["bind-ports-exhausted certain error"]), (40000, [])])
def test_a_datagram_socket_for_which_no_port_is_left(port: int, found: list[str]) -> None:
    story = Story()
    client = story.socket(story.process("client"), None, None, type=socket.SOCK_DGRAM)
    story.call("sendto", client, AGAIN, address=inet("10.0.0.7", 53), exit={"local": inet("0.0.0.0", port)})
    assert story.found() == found


def packet_socket(story: Story, protocol: int, *, sends: bytes) -> None:
    sniffer = story.socket(story.process("sniffer"), None, None, family=socket.AF_PACKET, type=socket.SOCK_RAW)
    story.call("socket", sniffer, 9, a=socket.AF_PACKET, b=socket.SOCK_RAW, c=protocol, made=sniffer)
    sender = story.socket(story.process("sender"), None, None, family=socket.AF_PACKET, type=socket.SOCK_RAW)
    story.call("sendto", sender, 60, payload=bytes(12) + sends + b"hello", length=60)


@pytest.mark.parametrize(
    ("protocol", "sends", "found"),
    [
        (0x88B5, b"\x88\xb5", ["packet-protocol-swapped"]),
        (0xB588, b"\x88\xb5", []),
        (0x88B5, b"\x00\x10", []),
        (0x0300, b"\x88\xb5", []),
    ],
)
def test_a_type_of_ones_own_is_known_by_the_frames_that_are_sent(protocol: int, sends: bytes, found: list[str]) -> None:
    story = Story()
    packet_socket(story, protocol, sends=sends)
    assert [one.rule for one in story.diagnosis().findings] == found


def test_a_wrong_checksum_is_told_though_the_socket_that_sent_it_is_long_gone() -> None:
    story = Story()
    sender = story.socket(story.process("sender"), None, None, type=socket.SOCK_RAW)
    story.counter("TcpInCsumErrors", 0)
    story.call("sendto", sender, 40, address=inet("10.0.0.7", 0), length=40)
    story.call("close", sender)
    other = story.socket(story.process("other"), None, None, type=socket.SOCK_DGRAM)
    story.now += 5 * S
    story.call("close", other)
    story.counter("TcpInCsumErrors", 1)
    assert story.found() == ["checksum-rejected certain error"]


def test_a_forwarder_that_finds_nobody_closes_its_client() -> None:
    story = Story()
    forwarder = story.process("forwarder")
    client = story.socket(forwarder, ("10.0.0.1", 80), ("10.0.0.9", 40000), origin="accept")
    _, call = tried(story, "127.0.0.1", REFUSED, process=forwarder)
    story.fact(call, "sockets", [])
    story.call("close", client)
    findings = story.diagnosis().findings
    # Who connected sees the forwarder; that nobody listens behind it is said by the same finding.
    assert [(one.rule, one.covers) for one in findings] == [("forwarder-without-backend", (106, 107))]


def test_a_forwarder_that_answers_or_whose_client_had_left_is_none() -> None:
    for answered in (True, False):
        story = Story()
        forwarder = story.process("forwarder")
        client = story.socket(forwarder, ("10.0.0.1", 80), ("10.0.0.9", 40000), origin="accept")
        if not answered:
            story.call("recvfrom", client, 0, length=100)
        tried(story, "127.0.0.1", REFUSED, process=forwarder)
        if answered:
            story.call("sendto", client, 12, length=12)
        story.call("close", client)
        assert "forwarder-without-backend" not in [one.rule for one in story.diagnosis().findings]


# -- connections that stood in the queue of a Unix listener


@pytest.mark.parametrize("queued", [True, False], ids=["stood in the queue", "accepted at once"])
def test_a_client_that_gave_up_in_a_full_queue_follows_from_it(queued: bool) -> None:
    story = Story()
    server, client = story.process("server"), story.process("client")
    listener = story.socket(server, None, None, family=socket.AF_UNIX)
    story.call("bind", listener, address=unix("/run/app"))
    story.call("listen", listener, a=1)
    here = story.socket(client, None, None, family=socket.AF_UNIX)
    story.call("connect", here, address=unix("/run/app"))
    late = story.socket(client, None, None, family=socket.AF_UNIX)
    story.call("connect", late, AGAIN, address=unix("/run/app"))
    story.now += S if queued else 0
    there = story.socket(server, None, None, family=socket.AF_UNIX, origin="accept", parent=listener)
    story.made[listener]["local"] = story.made[there]["local"] = story.made[here]["remote"] = unix("/run/app")
    story.call("accept", listener, 3 + there, made=there)
    story.now += S
    story.call("close", here, unread=0)
    story.call("sendto", there, PIPE, length=10)
    found = {one.rule: one.follows_from for one in story.diagnosis().findings}
    assert "unix-backlog-full" in found
    assert found["write-after-peer-closed"] == ("unix-backlog-full" if queued else None)


@pytest.mark.parametrize(
    ("codes", "found"),
    [([2], ["warning SERVFAIL"]), ([3], ["note NXDOMAIN"]), ([5], ["warning REFUSED"]), ([2, 0], []), ([0], [])],
    ids=["failed", "no such name", "refused", "the second server knows", "found"],
)
def test_a_name_server_that_has_no_answer(codes: list[int], found: list[str]) -> None:
    story = Story()
    process = story.process("client")
    question = b"\0\1\0\0\0\0\0\0\x02db\x08internal\0\0\1\0\1"
    for number, code in enumerate(codes):
        resolver = story.socket(process, ("10.0.0.1", 40000), (f"10.0.0.{number}", 53), type=socket.SOCK_DGRAM)
        asked = b"\x12\x34\1\0" + question
        story.call("sendto", resolver, len(asked), length=len(asked), payload=asked)
        answer = bytes((0x12, 0x34, 0x81, 0x80 | code, 0, 1, 0, int(not code))) + question[4:]
        story.call("recvfrom", resolver, len(answer), length=512, payload=answer)
    said = story.diagnosis("name-lookup-fails").findings
    assert [f"{one.severity} {one.title.split()[-1]}" for one in said] == found


@pytest.mark.parametrize(
    ("host", "answer", "found"),
    [
        ("::ffff:127.0.0.1", b"", True),
        ("::ffff:127.0.0.1", b"403 forbidden\n", True),
        ("::ffff:127.0.0.1", b"welcome\n", False),
        ("::1", b"", False),
    ],
    ids=["nothing said", "refused", "served", "over IPv6"],
)
def test_a_mapped_address_that_is_turned_away(host: str, answer: bytes, found: bool) -> None:
    story = Story()
    here = story.socket(story.process(), ("::1", 80), (host, 50000), family=socket.AF_INET6, origin="accept")
    story.call("recvfrom", here, 6, length=100, payload=b"hello\n")
    if answer:
        story.call("sendto", here, len(answer), length=len(answer), payload=answer)
    story.call("close", here, unread=0)
    said = [one.rule for one in story.diagnosis("mapped-address").findings]
    assert said == (["mapped-address"] if found else [])
