"""What goes wrong before the first byte: the stories in which the rules speak, and near ones in which they must not."""

from __future__ import annotations

import errno
import json

import pytest

from tests.diagnose.story import S, Story, inet

ACCES, NOT_AVAILABLE, IN_USE = -errno.EACCES, -errno.EADDRNOTAVAIL, -errno.EADDRINUSE
SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "1024", "net.ipv4.ip_local_port_range": "32768 60999"}


def failed_bind(
    port: int, result: int, *, kind: str = "sysctls", value: object = SYSCTLS, host: str = "127.0.0.1"
) -> Story:
    story = Story()
    here = story.socket(story.process(), None, None)
    call = story.call("bind", here, result, address=inet(host, port))
    if kind:
        story.fact(call, kind, value)
    story.call("close", here)
    return story


def test_a_port_below_the_limit() -> None:
    assert failed_bind(80, ACCES).found() == ["privileged-port certain error"]


def test_a_port_above_the_limit_was_refused_by_somebody_else() -> None:
    assert failed_bind(8080, ACCES).found() == ["security-policy strong error"]


def test_without_the_sysctl_nothing_is_known_of_the_limit() -> None:
    diagnosis = failed_bind(80, ACCES, kind="").diagnosis()
    assert diagnosis.findings == ()
    assert "privileged-port" in {question.rule for question in diagnosis.cannot_tell}


def test_an_address_of_somebody_else() -> None:
    own = [
        {"interface": "lo", "address": "127.0.0.1", "prefix": 8},
        {"interface": "eth0", "address": "10.0.0.7", "prefix": 24},
    ]
    story = failed_bind(80, NOT_AVAILABLE, kind="addresses", value=own, host="192.0.2.1")
    assert story.found() == ["address-not-local certain error"]
    assert "10.0.0.7" in story.diagnosis().findings[0].why
    # One that the host has was refused for another reason.
    assert failed_bind(80, NOT_AVAILABLE, kind="addresses", value=own, host="10.0.0.7").found() == []


def test_accept_without_listen() -> None:
    story = Story()
    here = story.socket(story.process(), None, None)
    story.call("bind", here, 0, address=inet("127.0.0.1", 80))
    story.call("accept4", here, -errno.EINVAL)
    assert story.found() == ["call-in-wrong-state certain error"]


def test_a_socket_that_was_connected_unseen_is_not_called_unconnected() -> None:
    story = Story()
    here = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000))
    story.call("recvfrom", here, -errno.ENOTCONN, length=5)
    assert story.found() == []


def test_asking_again_whether_a_connection_is_there_is_no_fault() -> None:
    story = Story()
    here = story.socket(story.process(), None, None)
    story.call("connect", here, -errno.EINPROGRESS, address=inet("127.0.0.1", 80))
    story.call("connect", here, 0, address=inet("127.0.0.1", 80))
    story.call("connect", here, -errno.EISCONN, address=inet("127.0.0.1", 80))
    assert "call-in-wrong-state certain error" not in story.found()


def test_a_bind_that_failed_before_listen() -> None:
    story = Story()
    here = story.socket(story.process(), None, None)
    story.call("bind", here, -errno.EAFNOSUPPORT, address=inet("127.0.0.1", 80))
    story.call("listen", here, 0, a=5)
    assert story.found() == ["failed-call-ignored certain error"]
    again = Story()
    here = again.socket(again.process(), None, None)
    again.call("bind", here, -errno.EAFNOSUPPORT, address=inet("127.0.0.1", 80))
    again.call("bind", here, 0, address=inet("127.0.0.1", 80))
    again.call("listen", here, 0, a=5)
    assert again.found() == []


def test_a_connect_that_is_given_up_at_once_and_one_that_is_waited_for() -> None:
    for asks, expected in ((False, ["connect-in-progress strong error"]), (True, [])):
        story = Story()
        here = story.socket(story.process(), None, None)
        story.call("connect", here, -errno.EINPROGRESS, address=inet("10.0.0.2", 80))
        if asks:
            story.call("getsockopt", here, 0, a=1, b=4, value=bytes(4))
        story.call("close", here)
        assert story.found() == expected


def test_a_service_port_in_the_range_of_connections() -> None:
    holder = {"protocol": "tcp", "state": 1, "local": "127.0.0.1:40000", "remote": "127.0.0.1:5432", "pids": []}
    for sockets, expected in (
        ([holder], ["port-in-local-range strong error"]),
        ([{**holder, "state": 6}], []),
        ([holder, {**holder, "state": 10, "remote": "0.0.0.0:0"}], []),
    ):
        story = Story()
        here = story.socket(story.process(), None, None)
        call = story.call("bind", here, IN_USE, address=inet("127.0.0.1", 40000))
        story.fact(call, "sockets", sockets)
        story.fact(call, "sysctls", SYSCTLS)
        found = [line for line in story.found() if line.startswith("port-in-local-range")]
        assert found == expected, json.dumps(sockets)


def test_a_library_that_looks_for_bytes_on_a_socket_it_knows_to_be_unconnected() -> None:
    for asks, expected in ((True, []), (False, ["call-in-wrong-state certain error"])):
        story = Story()
        here = story.socket(story.process(), None, None)
        if asks:
            story.call("getpeername", here, -errno.ENOTCONN)
        story.call("recvfrom", here, -errno.ENOTCONN, length=1)
        story.call("close", here)
        assert story.found() == expected
        # The same on a listener that is wrapped for TLS.
        listener = Story()
        here = listener.socket(listener.process(), None, None)
        listener.call("bind", here, 0, address=inet("127.0.0.1", 80))
        listener.call("listen", here, 0, a=5)
        if asks:
            listener.call("getpeername", here, -errno.ENOTCONN)
        listener.call("recvfrom", here, -errno.ENOTCONN, length=1)
        listener.call("close", here)
        assert listener.found() == expected


def test_the_number_of_a_closed_socket_is_not_that_of_a_failed_call() -> None:
    for between, one_line, expected in (
        (False, True, ["failed-descriptor-used certain error"]),
        (True, True, []),
        (False, False, []),
    ):
        story = Story()
        here = story.socket(story.process(), None, None)
        probe, use = story.source("/srv/probe.py", 3), story.source("/srv/use.py", 9)
        story.call("socket", here, -errno.EPROTONOSUPPORT, fd=None, socket=None, source=probe)
        if between:
            story.call("getsockname", here, 0, source=use)
        story.call("recvfrom", here, -errno.EBADF, length=10, fd=-1, socket=None, source=probe if one_line else use)
        assert story.found() == expected


@pytest.mark.parametrize(
    ("accepts_after", "found"),
    [(None, ["listener-not-served certain"]), (3 * S, ["listener-not-served strong"]), (S // 2, [])],
    ids=["never", "late", "soon"],
)
def test_a_worker_that_shares_the_port_and_does_not_accept(accepts_after: int | None, found: list[str]) -> None:
    story = Story()
    listeners = []
    for number in range(2):
        listener = story.socket(story.process(f"worker{number}"), ("127.0.0.1", 80), None)
        story.call("setsockopt", listener, a=1, b=15, value=b"\1\0\0\0")
        story.call("bind", listener, address=inet("127.0.0.1", 80))
        story.call("listen", listener, a=16, exit={"state": 10, "send": 16})
        listeners.append(listener)
    good, late = listeners
    for queue in (1, 2):
        story.state(late, state=10, receive=queue, send=16)
        served = story.socket(
            story.made[good]["process"], ("127.0.0.1", 80), ("127.0.0.1", 50000 + queue), origin="accept"
        )
        story.call("accept4", good, 3 + served, made=served)
        story.now += S // 4
    story.now += (accepts_after or 2 * S) - S // 2
    if accepts_after is not None:
        served = story.socket(story.made[late]["process"], ("127.0.0.1", 80), ("127.0.0.1", 50003), origin="accept")
        story.call("accept4", late, 3 + served, made=served)
        story.state(late, state=10, receive=0, send=16)
    story.now += S // 10
    kept = [one for one in story.diagnosis().findings if one.rule == "listener-not-served"]
    assert [f"{one.rule} {one.certainty}" for one in kept] == found


@pytest.mark.parametrize("number", [1, 7])
def test_a_connection_at_the_number_of_an_output(number: int) -> None:
    story = Story()
    agent = story.socket(story.process("agent"), ("127.0.0.1", 50000), ("127.0.0.1", 80))
    story.call("socket", agent, number, a=1, b=0, fd=None, socket=None, made=agent)
    story.call("connect", agent, fd=number)
    story.call("write", agent, 20, length=20, payload=b"agent started\n", fd=number)
    found = [f"{one.rule} {one.certainty}" for one in story.diagnosis("standard-descriptor").findings]
    assert found == (["standard-descriptor hint"] if number == 1 else [])


@pytest.mark.parametrize("ends_first", [True, False])
def test_a_child_that_asks_the_program_which_waits_for_it(ends_first: bool) -> None:
    story = Story()
    service, child = story.process("server"), story.process("curl")
    story.processes[child][2] = service
    listener = story.socket(service, ("127.0.0.1", 80), None)
    story.call("bind", listener, address=inet("127.0.0.1", 80))
    story.call("listen", listener, a=16, exit={"state": 10, "send": 16})
    client = story.socket(child, ("127.0.0.1", 50000), ("127.0.0.1", 80))
    story.call("connect", client, address=inet("127.0.0.1", 80))
    story.call("sendto", client, 5, length=5)
    story.now += 2 * S
    if ends_first:
        story.call("close", client, unread=0)
        story.end(child, code=28)
    served = story.socket(service, ("127.0.0.1", 80), ("127.0.0.1", 50000), origin="accept", parent=listener)
    story.call("accept4", listener, 3 + served, made=served)
    if not ends_first:
        story.call("close", client, unread=0)
        story.end(child, code=28)
    story.now += S
    found = [f"{one.rule} {one.certainty}" for one in story.diagnosis("request-to-itself").findings]
    assert found == (["request-to-itself strong"] if ends_first else [])


def test_a_read_from_the_listener_leaves_the_connection_unread() -> None:
    story = Story()
    server = story.process()
    here, there = ("127.0.0.1", 4567), ("127.0.0.1", 51000)
    listener = story.socket(server, here, None)
    story.call("bind", listener, address=inet(*here))
    story.call("listen", listener, a=5)
    connection = story.socket(server, here, there, origin="accept", parent=listener)
    story.call("accept4", listener, 4, made=connection, address=inet(*there))
    story.call("recvfrom", listener, -errno.ENOTCONN, length=100)
    story.call("close", connection, unread=5)
    found = story.diagnosis().findings
    assert [one.rule for one in found] == ["call-in-wrong-state", "close-with-unread-data"]
    assert found[1].follows_from == "call-in-wrong-state"
