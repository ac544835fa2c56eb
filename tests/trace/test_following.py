"""Every way to make, pass and close sockets is followed, and the program behaves as it does untraced."""

from __future__ import annotations

import errno
import json
import socket
import struct
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from wallsocket.events import Call
from wallsocket.trace.recording import Recording
from wallsocket.trace.run import RunResult
from wallsocket.trace.syscalls import names

Trace = Callable[..., tuple[RunResult, Recording]]
Build = Callable[[str], Path]
NAMES = names("x86_64")

#: Case: the calls that must be recorded, with how often.
CASES: dict[str, dict[str, int]] = {
    "threads": {"socketpair": 1, "write": 4, "read": 4},
    "fork": {"socketpair": 1, "write": 1, "read": 1, "close": 2},
    "vfork": {"socketpair": 1, "write": 1, "read": 1},
    "spawn": {"socketpair": 1, "write": 1, "read": 1},
    "clone": {"socketpair": 1, "write": 1, "read": 1},
    "exec-from-thread": {"socketpair": 1, "fcntl": 1, "write": 1, "read": 1},
    "close-range": {"socketpair": 1, "dup": 1, "close_range": 2, "write": 2, "read": 1},
    "dup-to-stdin": {"socketpair": 1, "dup2": 1, "close": 1, "write": 1, "read": 1},
    "pass": {
        "socketpair": 1,
        "sendmsg": 1,
        "recvmsg": 1,
        "socket": 2,
        "accept": 1,
        "connect": 1,
        "write": 1,
        "read": 1,
    },
    "vectors": {"socketpair": 1, "writev": 1, "readv": 1},
    "many-messages": {"socket": 2, "sendmmsg": 1, "recvmmsg": 1},
    "files": {"socketpair": 1, "sendfile": 1, "splice": 2, "read": 1},
    "waits": {"poll": 1, "pselect6": 1, "epoll_ctl": 1, "epoll_wait": 1, "ioctl": 2, "fcntl": 1, "write": 1},
    "interrupted": {"recvfrom": 1, "read": 1, "poll": 1, "write": 1},
    "families": {"socket": 10, "connect": 2},
    "killed": {"socketpair": 1},
    "own-filter": {"socketpair": 1, "write": 1, "read": 1},
}


def calls_of(recording: Recording) -> list[Call]:
    return list(recording.calls())


def counted(recording: Recording) -> Counter[str]:
    return Counter(NAMES[call.number] for call in recording.calls())


@pytest.mark.parametrize("how", ["dynamic", "static", "preloaded"])
@pytest.mark.parametrize("case", CASES)
def test_case_is_followed_and_unchanged(
    case: str, how: str, many_ways: Build, traced: Trace, capfd: pytest.CaptureFixture[str]
) -> None:
    preloaded = how == "preloaded"
    program = many_ways("dynamic" if preloaded else how)
    untraced = subprocess.run([program, case], capture_output=True, text=True, check=False)
    # Without samples the library has every call that it can have.
    result, recording = traced(program, case, **({"via": "preload", "samples": False} if preloaded else {}))
    seen = capfd.readouterr()
    assert (seen.out, seen.err) == (untraced.stdout, untraced.stderr)
    status = untraced.returncode
    assert result.exit_status == (128 - status if status < 0 else status)
    found = counted(recording)
    # The C library makes pselect6 of a select; the preloaded one does as asked.
    found["pselect6"] += found.pop("select", 0)
    assert {name: found[name] for name in CASES[case]} == CASES[case]
    # Whatever way they went, nothing of them is left in the books.
    assert all(item.ended_ns is not None for item in recording.sockets.values())
    assert all(item.closed_ns is not None for item in recording.descriptors.values())
    assert all(item.ended_ns is not None for item in recording.processes.values())


def test_a_program_without_sockets_is_never_stopped(many_ways: Build, traced: Trace) -> None:
    result, recording = traced(many_ways("dynamic"), "no-socket")
    assert result.stops == 0
    assert calls_of(recording) == []


def test_positions_and_payload_of_a_stream(many_ways: Build, traced: Trace) -> None:
    _, recording = traced(many_ways("dynamic"), "threads", payload=3)
    sent = [call for call in recording.calls() if NAMES[call.number] == "write"]
    assert [(call.offset, call.length, call.result, call.payload) for call in sent] == [
        (0, 6, 6, b"thr"),
        (6, 6, 6, b"thr"),
        (12, 6, 6, b"thr"),
        (18, 6, 6, b"thr"),
    ]


def test_payload_can_be_left_out_or_kept_whole(many_ways: Build, traced: Trace) -> None:
    _, without = traced(many_ways("dynamic"), "files", payload=0)
    assert all(call.payload is None for call in without.calls())
    _, whole = traced(many_ways("dynamic"), "files", payload=None)
    assert b"from a file" in [call.payload for call in whole.calls()]


def test_a_passed_socket_keeps_its_identity(many_ways: Build, traced: Trace) -> None:
    _, recording = traced(many_ways("dynamic"), "pass")
    received = next(item for item in recording.descriptors.values() if item.origin == "received")
    listener = recording.sockets[received.socket]
    assert listener.origin == "socket"
    assert recording.processes[listener.process].pid != recording.processes[received.process].pid
    accepted = next(item for item in recording.sockets.values() if item.origin == "accept")
    assert accepted.parent == listener.id
    assert accepted.cookie not in (None, listener.cookie)


def test_an_interrupted_call_is_one_call(many_ways: Build, traced: Trace) -> None:
    _, recording = traced(many_ways("dynamic"), "interrupted")
    by_name = {NAMES[call.number]: call for call in recording.calls()}
    # The first had a handler without SA_RESTART, the second one with it: it went on, and took the whole time.
    assert by_name["recvfrom"].errno == errno.EINTR
    restarted = by_name["read"]
    assert restarted.result == 4
    assert restarted.took_ns is not None
    assert restarted.took_ns > 1_500_000_000


def test_addresses_of_all_families(many_ways: Build, traced: Trace) -> None:
    _, recording = traced(many_ways("dynamic"), "families")
    connects = [call.address for call in recording.calls() if NAMES[call.number] == "connect"]
    assert connects[0] == struct.pack("<H", socket.AF_UNIX) + b"\0wallsocket test"
    assert connects[1] is not None
    assert struct.unpack("<HH4x16sI", connects[1])[::3] == (socket.AF_INET6, 1)
    asked = [call.a for call in recording.calls() if NAMES[call.number] == "socket"]
    # Families that the kernel lacks are recorded by their failed calls.
    assert asked[:8] == [2, 10, 1, 16, 40, 17, 44, 99]


def test_poll_sets_and_events_are_kept(many_ways: Build, traced: Trace) -> None:
    _, recording = traced(many_ways("dynamic"), "waits")
    by_name = {NAMES[call.number]: call for call in recording.calls()}
    polled = by_name["poll"]
    assert polled.value is not None
    (first, events, revents), (second, _, nothing) = struct.iter_unpack("<iHH", polled.value)
    assert (events, revents, nothing) == (4, 4, 0)
    assert first != second
    assert (polled.a, polled.b) == (2, 1000)
    waited = by_name["epoll_wait"]
    assert waited.value is not None
    assert struct.unpack("<IQ", waited.value) == (4, 0x1234567890)
    assert by_name["ioctl"].value is None


def test_wrong_pointers_change_nothing(many_ways: Build, traced: Trace, capfd: pytest.CaptureFixture[str]) -> None:
    untraced = subprocess.run([many_ways("dynamic"), "wrong"], capture_output=True, text=True, check=False)
    result, recording = traced(many_ways("dynamic"), "wrong")
    assert capfd.readouterr().out == untraced.stdout
    assert result.exit_status == untraced.returncode
    assert errno.EFAULT in {call.errno for call in recording.calls()}


def test_io_uring_is_seen_and_said(many_ways: Build, traced: Trace, capfd: pytest.CaptureFixture[str]) -> None:
    _, recording = traced(many_ways("dynamic"), "io-uring")
    assert [mark.kind for mark in recording.marks() if mark.kind == "io_uring"] == ["io_uring"]
    capfd.readouterr()
    traced(many_ways("dynamic"), "io-uring", deny_io_uring=True)
    assert capfd.readouterr().out == "io_uring Function not implemented\n"


def test_a_program_that_refuses_filters_is_followed_the_slow_way(many_ways: Build, traced: Trace) -> None:
    _, recording = traced(many_ways("dynamic"), "own-filter")
    assert [mark.kind for mark in recording.marks() if mark.kind == "blind"] == ["blind"]
    assert counted(recording)["write"] >= 1


def test_exec_replaces_the_command_and_closes_what_is_close_on_exec(many_ways: Build, traced: Trace) -> None:
    program = many_ways("dynamic")
    _, recording = traced(program, "exec-from-thread")
    child = max(recording.processes.values(), key=lambda process: process.id)
    assert child.command is not None
    assert json.loads(child.command)[1] == "say"
    closed_on_exec = [item for item in recording.descriptors.values() if item.process == child.id and item.cloexec]
    say = next(call for call in recording.calls() if call.process == child.id and NAMES[call.number] == "write")
    assert closed_on_exec
    assert all(item.closed_ns is not None and item.closed_ns < say.entry_ns for item in closed_on_exec)


def test_inherited_sockets_are_followed_from_the_first_call(python: str, traced: Trace) -> None:
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    with ours, theirs:
        code = f"import os; os.write({theirs.fileno()}, b'inherited')"
        _, recording = traced(python, "-S", "-c", code)
        assert ours.recv(100) == b"inherited"
    writes = [call for call in recording.calls() if NAMES[call.number] == "write" and call.payload == b"inherited"]
    assert len(writes) == 1
    assert writes[0].socket is not None
    assert recording.sockets[writes[0].socket].origin == "inherited"


CLOSES = """
import socket, struct, threading
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.setblocking(False)
try:
    while True:
        client.send(bytes(1 << 16))
except BlockingIOError:
    pass
client.setblocking(True)
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
number = client.fileno()
closing = threading.Thread(target=client.close)  # frees the number, and then waits a second for the peer to read
closing.start()
while True:
    with open("/etc/passwd", "rb", buffering=0) as file:
        if file.fileno() == number:
            file.read(7)
            break
assert closing.is_alive()
closing.join()
"""


def test_a_number_that_is_being_closed_may_name_a_file_already(python: str, traced: Trace) -> None:
    result, recording = traced(python, "-c", CLOSES, via="ptrace")
    assert result.exit_status == 0
    names_of_calls = counted(recording)
    assert names_of_calls["read"] == 0
    assert names_of_calls["close"] == 3
