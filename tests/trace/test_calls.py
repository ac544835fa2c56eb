"""Calls as text: every kind of call, whole and short."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recordings import NUMBER, inet, unix
from wallsocket.events import Call
from wallsocket.trace.calls import CallText
from wallsocket.trace.syscalls import (
    ACCEPTS,
    EPOLL_WAITS,
    NUMBERS,
    POLLS,
    READS,
    WRITES,
    Arguments,
    Role,
    names,
    role,
    syscalls,
)

TEXT = CallText("x86_64")


def call(name: str, result: int | None = 0, **fields: Any) -> Call:
    base: dict[str, Any] = dict.fromkeys(Call.__struct_fields__)
    base |= {"id": 1, "process": 1, "tid": 1, "number": NUMBER[name], "entry_ns": 0, "known": 0}
    base |= {"took_ns": None if result is None else 1, "result": result}
    return Call(**(base | fields))


def poll(*entries: tuple[int, int, int]) -> bytes:
    return b"".join(struct.pack("<iHH", *entry) for entry in entries)


WEB = inet("127.0.0.1:80")

CASES = [
    (
        call("socket", 3, a=2, b=1 | 0o2000000 | 0o4000, c=6),
        "socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, IPPROTO_TCP) = 3",
        "socket() = fd 3",
    ),
    (
        call("socketpair", 0, a=1, b=1, c=0, value=struct.pack("<ii", 3, 4)),
        "socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0",
        "socketpair()",
    ),
    (
        call("connect", -111, fd=5, address=WEB),
        "connect(5, 127.0.0.1:80) = -1 ECONNREFUSED (Connection refused)",
        "connect(127.0.0.1:80) ECONNREFUSED",
    ),
    (call("connect", None, fd=5, address=WEB), "connect(5, 127.0.0.1:80) has not returned", "connect(127.0.0.1:80)"),
    (call("bind", fd=5, address=inet("[::1]:53")), "bind(5, [::1]:53) = 0", "bind([::1]:53)"),
    (call("bind", fd=5, address=unix(b"\0x")), "bind(5, unix:@x) = 0", "bind(unix:@x)"),
    (call("listen", fd=5, a=128), "listen(5, 128) = 0", "listen(128)"),
    (
        call("accept4", 6, fd=5, a=0o2000000, address=WEB),
        "accept4(5, 127.0.0.1:80, SOCK_CLOEXEC) = 6",
        "accept() = fd 6",
    ),
    (call("accept", -11, fd=5), "accept(5, NULL) = -1 EAGAIN (Resource temporarily unavailable)", "accept() EAGAIN"),
    (
        call("recvfrom", 1024, fd=4, a=0, length=1024, payload=b"GET / HTTP/1.1\r\n" + bytes(48)),
        r'recvfrom(4, 1024) = 1024 "GET / HTTP/1.1\r\n' + r"\x00" * 16 + '"…',
        "recv(1024) = 1024",
    ),
    (
        call("recvfrom", 3, fd=4, a=0x40, length=99, payload=b"abc", address=WEB),
        'recvfrom(4, 99, MSG_DONTWAIT, 127.0.0.1:80) = 3 "abc"',
        "recvfrom(99, 127.0.0.1:80, MSG_DONTWAIT) = 3",
    ),
    (
        call("sendto", 3, fd=4, a=0x4000, length=3, payload=b"abc"),
        'sendto(4, "abc", 3, MSG_NOSIGNAL) = 3',
        "send(3, MSG_NOSIGNAL)",
    ),
    (call("sendto", 3, fd=4, a=0, length=8), "sendto(4, 8) = 3", "send(8) = 3"),
    (
        call("recvmsg", 3, fd=4, a=0, length=2, payload=b"ab", flags=0x20),
        'recvmsg(4, 2) = 3 "ab"… [MSG_TRUNC]',
        "recvmsg(2) = 3 [MSG_TRUNC]",
    ),
    (
        call("sendmmsg", 2, fd=4, a=0, b=2, value=struct.pack("<2I", 5, 7)),
        "sendmmsg(4, 2, [5, 7]) = 2",
        "sendmmsg() = 2",
    ),
    (call("write", 5, fd=4, length=5, payload=b'a"\\\n\x1b'), r'write(4, "a\"\\\n\x1b", 5) = 5', "write(5)"),
    (call("readv", 0, fd=4, length=10), "readv(4, 10) = 0", "readv(10) = 0"),
    (call("shutdown", fd=4, a=1), "shutdown(4, SHUT_WR) = 0", "shutdown(WR)"),
    (
        call("setsockopt", fd=4, a=1, b=2, c=4, value=struct.pack("<i", 1)),
        "setsockopt(4, SOL_SOCKET, SO_REUSEADDR, on) = 0",
        "setsockopt(SO_REUSEADDR, on)",
    ),
    (
        call("setsockopt", fd=4, a=6, b=1, c=4, value=struct.pack("<i", 0)),
        "setsockopt(4, IPPROTO_TCP, TCP_NODELAY, off) = 0",
        "setsockopt(TCP_NODELAY, off)",
    ),
    (
        call("getsockopt", fd=4, a=1, b=4, c=4, value=struct.pack("<i", 111)),
        "getsockopt(4, SOL_SOCKET, SO_ERROR, ECONNREFUSED) = 0",
        "getsockopt(SO_ERROR, ECONNREFUSED)",
    ),
    (
        call("getsockopt", -92, fd=4, a=6, b=99, c=4, value=bytes(4)),
        "getsockopt(4, IPPROTO_TCP, 99) = -1 ENOPROTOOPT (Protocol not available)",
        "getsockopt(IPPROTO_TCP/99) ENOPROTOOPT",
    ),
    (
        call("fcntl", 0, fd=4, a=4, b=0o4002),
        "fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0",
        "fcntl(F_SETFL, O_RDWR|O_NONBLOCK)",
    ),
    (
        call("fcntl", 0o4002, fd=4, a=3, b=0),
        "fcntl(4, F_GETFL) = 2050 (O_RDWR|O_NONBLOCK)",
        "fcntl(F_GETFL) = 2050",
    ),
    (call("fcntl", 0, fd=4, a=2, b=1), "fcntl(4, F_SETFD, FD_CLOEXEC) = 0", "fcntl(F_SETFD, FD_CLOEXEC)"),
    (call("ioctl", 0, fd=4, a=0x541B, b=17), "ioctl(4, FIONREAD, [17]) = 0", "ioctl(FIONREAD, [17])"),
    (call("dup2", 9, fd=4, a=9), "dup2(4, 9) = 9", "dup2(9) = fd 9"),
    (
        call("poll", 1, a=2, b=500, value=poll((3, 1, 1), (4, 5, 0))),
        "poll([3 POLLIN, 4 POLLIN|POLLOUT] → [3 POLLIN], 500 ms) = 1",
        "poll(500 ms) = POLLIN",
    ),
    (
        call("ppoll", 0, a=1, b=-1, value=poll((3, 1, 0))),
        "ppoll([3 POLLIN], no timeout) = 0",
        "poll(no timeout) timed out",
    ),
    (
        call("select", 1, a=4, b=0, value=poll(*[(n, 1, 0) for n in range(10)])),
        "select([" + ", ".join(f"{n} POLLIN" for n in range(8)) + ", … 2 more], 0 ms) = 1",
        None,
    ),
    (call("epoll_ctl", 0, fd=9, a=1, b=4, c=1), "epoll_ctl(9, EPOLL_CTL_ADD, 4, EPOLLIN) = 0", None),
    (
        call("epoll_wait", 1, fd=9, a=64, b=-1, value=struct.pack("<IQ", 0x11, 4)),
        "epoll_wait(9, [4 EPOLLIN|EPOLLHUP], 64, no timeout) = 1",
        None,
    ),
    (call("sendfile", 10, fd=4, a=7, length=10), "sendfile(4, 7, 10) = 10", "sendfile(10)"),
    (call("splice", 10, fd=4, a=7, c=1, length=10), "splice(7, 4, 10) = 10", "splice(10)"),
    (call("splice", 10, fd=4, a=7, c=0, length=10), "splice(4, 7, 10) = 10", "splice(10) = 10"),
    (call("close", fd=4), "close(4) = 0", "close()"),
    (call("close_range", fd=3, b=9, c=0), "close_range(3, 9) = 0", "close_range()"),
    (call("getpeername", -107, fd=4), "getpeername(4, NULL) = -1 ENOTCONN (Transport endpoint is not connected)", None),
]


@pytest.mark.parametrize(("item", "full", "short"), CASES, ids=[case[1][:40] for case in CASES])
def test_text(item: Call, full: str, short: str | None) -> None:
    assert TEXT.full(item) == full
    if short is not None:
        assert TEXT.short(item) == short


def test_every_call_that_is_followed_has_a_text() -> None:
    shown = {TEXT.name(case[0]) for case in CASES}
    alike = {
        "pselect6": "select",
        "epoll_pwait": "epoll_wait",
        "epoll_pwait2": "epoll_wait",
        "recvmmsg": "sendmmsg",
        "sendmsg": "recvmsg",
        "read": "readv",
        "writev": "write",
        "dup": "dup2",
        "dup3": "dup2",
        "getsockname": "getpeername",
    }
    no_arguments_of_note = {"epoll_create", "epoll_create1", "io_uring_setup", "pidfd_getfd", "restart_syscall"}
    for name in NUMBER.keys() - no_arguments_of_note:
        assert alike.get(name, name) in shown, name


def test_unknown_numbers() -> None:
    item = call("close", 0, fd=4, a=1)
    unknown = CallText("riscv64")
    assert unknown.full(item) == "syscall 3(4, 1) = 0"
    assert unknown.role(item) is Role.SET_UP


def test_payload_can_be_left_out() -> None:
    text = CallText("x86_64", payload_bytes=0)
    assert text.full(call("write", 5, fd=4, length=5, payload=b"hello")) == "write(4, 5) = 5"
    assert text.full(call("read", 5, fd=4, length=9, payload=b"hello")) == "read(4, 9) = 5"


def test_numbers_of_this_machines_headers() -> None:
    """The kernel's own header, where it is installed, as a second opinion."""
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip(f"{header} is not installed")
    found = dict(re.findall(r"#define __NR_(\w+) (\d+)", header.read_text()))
    for name, number in NUMBERS["x86_64"].items():
        if name in found:
            assert int(found[name]) == number, name
    assert "accept4" in found


def test_numbers_of_the_generic_header() -> None:
    header = Path("/usr/include/asm-generic/unistd.h")
    if not header.exists():
        pytest.skip(f"{header} is not installed")
    found = dict(re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", header.read_text()))
    for name, number in NUMBERS["aarch64"].items():
        if name in found:
            assert int(found[name]) == number, name
    assert "accept4" in found


def test_roles() -> None:
    assert role("splice", sends=True) is Role.SEND
    assert role("splice") is Role.RECEIVE
    assert role("shutdown") is Role.END


numbers = st.none() | st.integers(-(2**63), 2**63 - 1)
bytes_or_none = st.none() | st.binary(max_size=200)


@given(
    name=st.sampled_from(sorted(NUMBER)),
    values=st.fixed_dictionaries(
        dict.fromkeys(("result", "fd", "a", "b", "c", "length", "flags"), numbers)
        | dict.fromkeys(("address", "value", "payload"), bytes_or_none)
    ),
)
def test_any_values_give_one_harmless_line(name: str, values: dict[str, Any]) -> None:
    item = call(name, **values)
    for text in (TEXT.full(item), TEXT.short(item)):
        assert text.isprintable(), ascii(text)


def test_the_sets_of_calls_come_from_the_table() -> None:
    assert {"read", "readv", "recvfrom", "recvmsg", "recvmmsg"} == READS
    assert {"write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice"} == WRITES
    assert {"accept", "accept4"} == ACCEPTS
    assert {"poll", "ppoll", "select", "pselect6"} == POLLS
    assert {"epoll_wait", "epoll_pwait", "epoll_pwait2"} == EPOLL_WAITS
    # Numbers of one machine mean other calls on another.
    assert names("x86_64")[41] == "socket"
    assert names("aarch64")[198] == "socket"
    assert names("riscv64") == {}
    assert "futex" in names("x86_64").values()
    assert "futex" not in NUMBERS["x86_64"]


def test_arguments_have_names() -> None:
    setsockopt = Arguments("setsockopt", call("setsockopt", a=1, b=9, c=4))
    assert (setsockopt.level, setsockopt.option, setsockopt.option_length) == (1, 9, 4)
    assert setsockopt.flags is None
    assert repr(setsockopt) == "level=1, option=9, option_length=4"
    poll = Arguments("poll", call("poll", a=3, b=-1))
    assert (poll.entries, poll.timeout_ms) == (3, -1)
    epoll = Arguments("epoll_pwait", call("epoll_pwait", a=64, b=20))
    assert (epoll.maximum, epoll.timeout_ms) == (64, 20)
    assert Arguments("splice", call("splice", a=4, b=0, c=1)).into_socket is True
    assert Arguments("recvfrom", call("recvfrom", a=2)).flags == 2
    assert Arguments("close_range", call("close_range", b=9)).last_fd == 9
    assert Arguments("no such call", call("recvfrom", a=2)).flags is None


def test_each_argument_of_the_table_has_a_property() -> None:
    for one in syscalls("x86_64").values():
        for name in filter(None, one.arguments):
            assert isinstance(getattr(Arguments, name), property), f"{one.name}: {name}"
