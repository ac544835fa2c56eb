"""Programs in another network namespace than the tracer: what the kernel is asked, it is asked there."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from wallsocket.events import Fact, Moment
from wallsocket.trace.recording import Recording
from wallsocket.trace.run import RunResult
from wallsocket.trace.syscalls import names

Traced = Callable[..., tuple[RunResult, Recording]]

#: Listens in its namespace, where loopback must be switched on first, and connects to a port where nobody listens there.
REFUSED = """
import fcntl, os, socket, struct, sys
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    request = struct.pack("16sH14x", b"lo", IFF_UP)
    fcntl.ioctl(control, SIOCSIFFLAGS, request)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
client = socket.socket()
try:
    client.connect(("127.0.0.1", int(sys.argv[1])))
except ConnectionRefusedError:
    print("refused")
"""

#: Makes user and network namespaces of its own first.
UNSHARED = """
import ctypes, os
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
uid, gid = os.getuid(), os.getgid()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write(f"{uid} {uid} 1")
open("/proc/self/gid_map", "w").write(f"{gid} {gid} 1")
"""


@pytest.fixture
def outside() -> Any:
    """A listener in the tests' own namespace; what a program elsewhere connects to is another port of that number."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def facts_of_refusal(recording: Recording) -> tuple[int, list[Fact]]:
    (call,) = [call for call in recording.calls() if call.errno == errno.ECONNREFUSED]
    assert call.socket is not None
    network = recording.sockets[call.socket].network
    assert network is not None
    return network, list(recording.facts(call=call.id))


def ports(fact: Fact) -> set[int]:
    return {int(row["local"].rpartition(":")[2]) for row in json.loads(fact.value) if row["state"] == 10}


def check_refusal(result: RunResult, recording: Recording, listening: int, outside: int) -> None:
    network, facts = facts_of_refusal(recording)
    here = os.stat("/proc/self/ns/net").st_ino
    assert recording.networks[1].inode == here
    assert recording.networks[1].access == "own"
    assert network != 1
    assert recording.networks[network].access == "entered", recording.networks
    assert recording.networks[network].inode not in (None, here)
    assert {socket.network for socket in recording.sockets.values() if socket.family == 2} == {network}
    by_kind = {fact.kind: fact for fact in facts}
    assert by_kind.keys() == {"sockets", "addresses"}
    assert {fact.network for fact in facts} == {network}
    assert {fact.occasion for fact in facts} == {"failure"}
    # Its own listener is among them, ours is not.
    assert listening in ports(by_kind["sockets"])
    assert outside not in ports(by_kind["sockets"])
    addresses = json.loads(by_kind["addresses"].value)
    assert {row["address"] for row in addresses if "." in row["address"]} == {"127.0.0.1"}


def test_a_namespace_that_the_program_made_itself(
    python: str, traced: Traced, outside: int, capfd: pytest.CaptureFixture[str]
) -> None:
    result, recording = traced(python, "-c", UNSHARED + REFUSED, outside)
    listening, word = capfd.readouterr().out.split()
    assert word == "refused"
    check_refusal(result, recording, int(listening), outside)
    # The process was seen to go there.
    (process,) = recording.processes.values()
    assert process.network == facts_of_refusal(recording)[0]


def test_a_program_started_in_a_namespace_of_its_own(
    python: str, traced: Traced, outside: int, capfd: pytest.CaptureFixture[str]
) -> None:
    result, recording = traced("unshare", "-rn", python, "-c", REFUSED, outside)
    listening, word = capfd.readouterr().out.split()
    assert word == "refused"
    check_refusal(result, recording, int(listening), outside)


def test_two_namespaces_in_one_recording(python: str, traced: Traced, outside: int) -> None:
    both = f"""
import os, subprocess, sys, socket
try:
    socket.create_connection(("127.0.0.1", 1))
except ConnectionRefusedError:
    pass
subprocess.run([sys.executable, "-c", {UNSHARED + REFUSED!r}, sys.argv[1]], check=True)
"""
    _, recording = traced(python, "-c", both, outside)
    refused = [call for call in recording.calls() if call.errno == errno.ECONNREFUSED]
    places = [recording.sockets[call.socket or 0].network for call in refused]
    assert places == [1, 2]
    asked = {fact.call: fact.network for fact in recording.facts() if fact.kind == "sockets"}
    assert [asked[call.id] for call in refused] == places
    # What each is like is said once, when it is met.
    met = [(fact.network, fact.kind) for fact in recording.facts() if fact.occasion == "start"]
    kinds = ("addresses", "links", "routes", "sysctls")
    # Frames of the first are `meta.wire`; rootless too they are captured in the second, which the program made.
    assert met == [*((1, kind) for kind in kinds), *((2, kind) for kind in (*kinds, "wire"))]
    assert [fact.value for fact in recording.facts() if fact.kind == "wire"] == ['"yes"']


def test_counters_belong_to_a_namespace(python: str, traced: Traced, outside: int) -> None:
    _, recording = traced(python, "-c", UNSHARED + REFUSED, outside)
    network, _ = facts_of_refusal(recording)
    values: dict[int | None, dict[str, list[int]]] = {}
    for counter in recording.counters():
        values.setdefault(counter.network, {}).setdefault(counter.name, []).append(counter.value)
    assert values.keys() == {1, network}
    # One connection was tried there, ever.
    assert values[network]["TcpActiveOpens"][-1] == 1
    assert values[network]["TcpAttemptFails"][-1] == 1


def test_counters_begin_before_interfaces_are_up(python: str, traced: Traced, outside: int) -> None:
    """What brings them up is said over netlink; then the kernel sends and receives by itself."""
    netlink = "import socket\nnetlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)\n"
    _, recording = traced(python, "-c", UNSHARED + netlink + REFUSED, outside)
    network, _ = facts_of_refusal(recording)
    first = min(counter.at_ns for counter in recording.counters() if counter.network == network)
    made = [one for one in recording.sockets.values() if one.network == network]
    assert (made[0].family, made[1].family) == (socket.AF_NETLINK, socket.AF_INET)
    assert made[0].created_ns < first < made[1].created_ns


def test_a_namespace_that_is_not_known_is_not_guessed(python: str, traced: Traced, outside: int) -> None:
    """A process that forbids being looked into does not tell where its sockets are: our own listeners prove nothing."""
    hide = """
PR_SET_DUMPABLE = 4
assert libc.prctl(PR_SET_DUMPABLE, 0) == 0
"""
    if os.geteuid() == 0:
        pytest.skip("root may look into every process")
    _, recording = traced(python, "-c", UNSHARED + hide + REFUSED, outside)
    (call,) = [call for call in recording.calls() if call.errno == errno.ECONNREFUSED]
    (fact,) = recording.facts(call=call.id)
    assert fact.kind == "not looked up"
    assert "network namespace is not known" in fact.value
    assert fact.network is None


@pytest.mark.root
def test_a_program_run_by_ip_netns_exec(
    python: str, traced: Traced, outside: int, capfd: pytest.CaptureFixture[str]
) -> None:
    name = f"wallsocket-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        result, recording = traced("ip", "netns", "exec", name, python, "-c", REFUSED, outside)
        listening, word = capfd.readouterr().out.split()
        assert word == "refused"
        check_refusal(result, recording, int(listening), outside)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


EPOLL = """
import select, socket
left, right = socket.socketpair()
third, fourth = socket.socketpair()
poller = select.epoll()
poller.register(left, select.EPOLLIN)
poller.register(third, select.EPOLLIN)
fourth.send(b"x")
assert [fd for fd, _ in poller.poll(10)] == [third.fileno()]
poll = select.poll()
poll.register(right, select.POLLIN)
poll.register(third, select.POLLIN)
poll.poll(10_000)
"""


def test_ready_events_name_their_socket(python: str, traced: Traced) -> None:
    _, recording = traced(python, "-c", EPOLL)
    name = names("x86_64")
    calls = [call for call in recording.calls() if call.sockets]
    assert [name[call.number] for call in calls] == ["epoll_wait", "poll"]
    left, right, third, _ = sorted(recording.sockets)
    assert calls[0].entry_sockets == (third,)
    assert calls[1].entry_sockets == (right, third)
    added = [call for call in recording.calls() if name[call.number] == "epoll_ctl"]
    assert [call.socket for call in added] == [left, third]
    assert [int.from_bytes(call.value or b"", "little") & 0xFFFFFFFF for call in added] == [call.b for call in added]


UNIX = """
import os, socket, tempfile
where = os.path.join(tempfile.mkdtemp(), "s")
listener = socket.socket(socket.AF_UNIX)
listener.bind(where)
listener.listen()
client = socket.socket(socket.AF_UNIX)
client.connect(where)
served, _ = listener.accept()
listener.close()
try:
    socket.socket(socket.AF_UNIX).connect(where)
except ConnectionRefusedError:
    pass
os.chmod(where, 0o600)
try:
    socket.socket(socket.AF_UNIX).connect(where + "-missing")
except FileNotFoundError:
    pass
"""


def test_the_other_end_of_a_unix_socket(python: str, traced: Traced) -> None:
    _, recording = traced(python, "-c", UNIX)
    (process,) = recording.processes.values()
    served = next(one for one in recording.sockets.values() if one.origin == "accept")
    client = next(one for one in recording.sockets.values() if one.inode == served.peer_inode)
    assert client.origin == "socket"
    assert (served.peer_pid, client.peer_pid) == (process.pid, process.pid)


def test_the_file_of_a_unix_socket(python: str, traced: Traced) -> None:
    _, recording = traced(python, "-c", UNIX)
    refused, missing = (json.loads(fact.value) for fact in recording.facts() if fact.kind == "path")
    assert refused["file"]["type"] == "socket"
    assert refused["file"]["uid"] == os.geteuid()
    assert refused["listeners"] == []
    assert missing["file"] is None
    assert missing["errno"] == errno.ENOENT
    assert missing["folder"]["type"] == "directory"


def test_deaths_and_frames_of_another_namespace(python: str, traced: Traced, outside: int) -> None:
    """The end of sockets there is seen, with their last values, and their frames are captured, also without root."""
    talk = """
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.sendall(b"hello")
server.recv(10)
for one in (client, server, listener):
    one.close()
"""
    _, recording = traced(python, "-c", UNSHARED + REFUSED + talk, outside)
    network, _ = facts_of_refusal(recording)
    client, server = [
        one.id for one in recording.sockets.values() if one.family == 2 and one.remote is not None and one.type == 1
    ][-2:]
    states = [state for state in recording.states() if state.socket in (client, server)]
    assert {state.socket for state in states if state.moment == Moment.DESTROYED} == {client, server}
    frames = [packet for packet in recording.packets() if packet.network == network]
    assert any(b"hello" in packet.frame for packet in frames)
    assert {packet.interface for packet in frames} == {"lo"}
    assert not [mark for mark in recording.marks() if mark.kind == "blind" and "namespace" in mark.text]
