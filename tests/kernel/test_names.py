"""Names of numbers, against the modules of Python that know some of them."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.lines import is_one_line
from wallsocket.kernel import names


def test_families() -> None:
    known = [name for name in dir(socket) if name.startswith("AF_")]
    assert len(known) > 20
    for name in known:
        number = getattr(socket, name)
        assert names.family(number) == {"AF_ROUTE": "AF_NETLINK"}.get(name, name)
    assert names.family(199) == "199"


def test_errors() -> None:
    for number, name in errno.errorcode.items():
        # One number, two names: Python prefers the older ones.
        same = {"EDEADLOCK": "EDEADLK", "ENOTSUP": "EOPNOTSUPP"}
        assert names.error(number) == same.get(name, name)
    assert names.error(512) == "ERESTARTSYS"
    assert names.error(9999) == "9999"


def test_socket_types() -> None:
    for name in ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW", "SOCK_RDM", "SOCK_SEQPACKET"):
        assert names.socket_type(getattr(socket, name)) == name
    kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    assert names.socket_type(kind) == "SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC"
    assert names.socket_type_flags(socket.SOCK_NONBLOCK) == "SOCK_NONBLOCK"


def test_protocols() -> None:
    for name in dir(socket):
        number = getattr(socket, name)
        if name.startswith("IPPROTO_") and name not in ("IPPROTO_HOPOPTS",):
            assert names.protocol(socket.AF_INET, number) == name
    assert names.protocol(socket.AF_PACKET, socket.htons(3)) == "htons(ETH_P_ALL)"
    assert names.protocol(socket.AF_UNIX, 0) == "0"


@pytest.mark.parametrize("name", [name for name in dir(socket) if name.startswith("MSG_")])
def test_message_flags(name: str) -> None:
    assert names.message_flags(getattr(socket, name)) == name


def test_flags_of_several_bits() -> None:
    assert names.message_flags(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) == "MSG_DONTWAIT|MSG_NOSIGNAL"
    assert names.message_flags(-(2**31) | 2) == "MSG_PEEK|0x80000000"
    assert names.message_flags(0) == "0"


def test_poll_and_epoll() -> None:
    for name in dir(select):
        if name.startswith("POLL"):
            assert names.poll_events(getattr(select, name)) == name
        elif name.startswith("EPOLL") and name not in ("EPOLL_CLOEXEC",):
            assert names.epoll_events(getattr(select, name)) == name
    assert names.epoll_events(-(2**31) | 1) == "EPOLLIN|EPOLLET"
    assert names.epoll_operation(1) == "EPOLL_CTL_ADD"


def test_fcntl() -> None:
    # Advisory locks have a second set of numbers on 32-bit machines; sealing and leases belong to files.
    for name in ("F_DUPFD", "F_GETFD", "F_SETFD", "F_GETFL", "F_SETFL", "F_SETOWN", "F_GETOWN", "F_DUPFD_CLOEXEC"):
        assert names.fcntl_command(getattr(fcntl, name)) == name
    assert names.status_flags(os.O_RDWR | os.O_NONBLOCK) == "O_RDWR|O_NONBLOCK"
    assert names.status_flags(os.O_WRONLY | os.O_APPEND) == "O_WRONLY|O_APPEND"
    assert names.descriptor_flags(fcntl.FD_CLOEXEC) == "FD_CLOEXEC"
    read, write = os.pipe()
    os.close(read)
    assert names.status_flags(fcntl.fcntl(write, fcntl.F_GETFL)) == "O_WRONLY"
    os.close(write)


def test_ioctl() -> None:
    assert names.ioctl_request(termios.FIONREAD) == "FIONREAD"
    assert names.ioctl_request(termios.FIONBIO) == "FIONBIO"
    assert names.ioctl_request(termios.TIOCOUTQ) == "SIOCOUTQ"
    assert names.ioctl_request(0x8933) == "SIOCGIFINDEX"


def test_states() -> None:
    with socket.socket() as listener:
        listener.listen()
        with socket.socket() as client:
            assert names.tcp_state(client.getsockopt(6, socket.TCP_INFO, 1)[0]) == "CLOSE"
            client.connect(listener.getsockname())
            assert names.tcp_state(client.getsockopt(6, socket.TCP_INFO, 1)[0]) == "ESTABLISHED"
        assert names.tcp_state(listener.getsockopt(6, socket.TCP_INFO, 1)[0]) == "LISTEN"


def test_options_by_number() -> None:
    assert names.option(socket.SOL_SOCKET, socket.SO_REUSEADDR, b"\1\0\0\0") == ("SO_REUSEADDR", "on")
    assert names.option(socket.SOL_SOCKET, 999, None) == ("SOL_SOCKET/999", None)
    assert names.level(socket.IPPROTO_TCP) == "IPPROTO_TCP"


def test_control_messages_of_a_real_exchange() -> None:
    near, far = socket.socketpair()
    with near, far:
        socket.send_fds(near, [b"x"], [near.fileno()])
        _, ancillary, _, _ = far.recvmsg(1, 64)
        level, kind, data = ancillary[0]
        received = int.from_bytes(data[:4], "little")
        os.close(received)
        assert names.control_message(level, kind, data) == ("SCM_RIGHTS", f"[{received}]")
        assert names.control_type(level, kind) == "SCM_RIGHTS"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
        receiver.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 33)
            sender.sendto(b"x", receiver.getsockname())
        _, ancillary, _, _ = receiver.recvmsg(1, 256)
        texts = dict(names.control_message(*message) for message in ancillary)
        loopback = socket.if_nametoindex("lo")
        assert texts == {"IP_TTL": "33", "IP_PKTINFO": f"if{loopback} local=127.0.0.1 destination=127.0.0.1"}


@given(st.binary(max_size=200))
def test_any_bytes_are_one_printable_line(data: bytes) -> None:
    for text in (names.control_messages(data), names.escape(data), names.address(data)):
        assert is_one_line(text)
