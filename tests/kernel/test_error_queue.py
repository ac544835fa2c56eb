"""The error queue, filled by the kernel itself."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Iterator

import pytest

from wallsocket import lab
from wallsocket.kernel import error_queue
from wallsocket.kernel.error_queue import QueuedError

IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2
DEADLINE_MS = 30_000


def taken(sock: socket.socket) -> QueuedError | None:
    """The next entry, once there is one."""
    poller = select.poll()
    poller.register(sock, 0)  # POLLERR is always told
    assert poller.poll(DEADLINE_MS)
    return error_queue.queued_error(sock.recvmsg(100, 512, socket.MSG_ERRQUEUE)[1])


@pytest.fixture(params=[("127.0.0.1", (3, 3)), ("::1", (1, 4))], ids=["IPv4", "IPv6"])
def refused(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, str, tuple[int, int]]]:
    """A socket that is connected to a port which nobody has, and what the port's host will say."""
    address, icmp = request.param
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as closed:
        closed.bind((address, 0))
        there = closed.getsockname()
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(there)
        yield sock, address, icmp


def test_a_closed_port(refused: tuple[socket.socket, str, tuple[int, int]]) -> None:
    sock, address, icmp = refused
    error_queue.collect(sock)
    sock.send(b"anybody?")
    assert taken(sock) == QueuedError(errno.ECONNREFUSED, icmp, 0, address)


def test_nothing_is_collected_any_more(refused: tuple[socket.socket, str, tuple[int, int]]) -> None:
    sock, _, _ = refused
    error_queue.collect(sock)
    error_queue.collect(sock, on=False)
    sock.send(b"anybody?")
    with pytest.raises(ConnectionRefusedError):
        sock.recv(100)
    with pytest.raises(BlockingIOError):
        sock.recvmsg(100, 512, socket.MSG_ERRQUEUE)


def test_what_this_host_knows_by_itself() -> None:
    with lab.hosts("a", "b", mtu=1400) as (a, b), a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((b.address, 9))
        error_queue.collect(sock)
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        with pytest.raises(OSError, match="Message too long"):
            sock.send(bytes(2000))
        found = taken(sock)
    assert found is not None
    assert (found.number, found.icmp, found.info) == (errno.EMSGSIZE, None, 1400)


@pytest.mark.parametrize("value", [b"", b"\0" * 15])
def test_what_is_too_short_is_no_entry(value: bytes) -> None:
    assert error_queue.queued_error([(socket.IPPROTO_IP, 11, value), (socket.SOL_SOCKET, 11, bytes(48))]) is None
