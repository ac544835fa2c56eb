"""A port of this machine that leads to a host of a lab: connections and datagrams that come here are carried over there."""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from ..errors import UsageError

if TYPE_CHECKING:
    from .host import Host

__all__ = ["Protocol", "Published", "PublishedDatagrams", "Target", "parse"]

Protocol = Literal["tcp", "udp"]

_FORM = re.compile(
    r"(?:(?P<address>\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(?P<near>\d+)"
    r":(?P<host>[A-Za-z0-9-]+):(?P<far>\d+)(?:/(?P<protocol>tcp|udp))?"
)
#: Clients of a published UDP port that are remembered; of more, the one that was quiet for longest is forgotten.
_MOST_CLIENTS = 1024
#: Datagrams that are carried before somebody else has a turn.
_DATAGRAMS_AT_ONCE = 64
#: Bytes that one direction of a connection may hold between its two sockets.
_ROOM = 1 << 18


class Target(NamedTuple):
    """What ``8080:server:80`` says."""

    address: str
    """Address of this machine to listen on."""
    port: int
    """Port of this machine; 0 lets the kernel choose."""
    host: str
    """Name of the lab's host."""
    host_port: int
    """Port of that host."""
    protocol: Protocol = "tcp"
    """Of both ports."""


def parse(text: str) -> Target:
    """Read ``[ADDRESS:]PORT:HOST:PORT[/udp]``; without an address it is 127.0.0.1.

    Raises:
        UsageError: it has another form, or a port that is none.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not understood; write it like 8080:server:80, 5353:server:53/udp or 0.0.0.0:8080:server:80"
        )
    near, far = int(match["near"]), int(match["far"])
    if near > 65535 or not 0 < far < 65536:
        raise UsageError(f"{text!r}: a port is at most 65535")
    protocol = cast(Protocol, match["protocol"] or "tcp")
    return Target((match["address"] or "127.0.0.1").strip("[]"), near, match["host"], far, protocol)


def _has_ipv4(host: Host) -> bool:
    return any(address.version == 4 for interface in host.interfaces for address in interface.addresses)


def _client_of(host: Host) -> Host:
    """The host that connections from outside come from: the first other one that is no router, else the first other one.

    A host that has no other beside it speaks to itself.
    """
    others = [each for each in host.lab if each is not host and each.address is not None]
    ends = [each for each in others if not each.forward]
    return (ends or others or [host])[0]


class _Half:
    """One direction of a connection: what was read here and is still to be written there."""

    __slots__ = ("buffer", "ended", "reader", "writer")

    def __init__(self, reader: socket.socket, writer: socket.socket) -> None:
        self.reader = reader
        self.writer = writer
        self.buffer = bytearray()
        self.ended = False

    def read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            part = self.reader.recv(1 << 16)
            self.buffer += part
            self.ended |= not part

    def write(self) -> bool:
        """Pass on what can be; whether this direction is over."""
        with contextlib.suppress(BlockingIOError):
            if self.buffer:
                del self.buffer[: self.writer.send(self.buffer)]
        if self.ended and not self.buffer:
            with contextlib.suppress(OSError):
                self.writer.shutdown(socket.SHUT_WR)
            return True
        return False


class Published:
    """A published TCP port, until it is closed or its lab is. Made by :meth:`Lab.publish`."""

    protocol: Protocol = "tcp"

    def __init__(self, host: Host, host_port: int, address: str, port: int) -> None:
        self._listener = self._listen(socket.AF_INET6 if ":" in address else socket.AF_INET, (address, port))
        self._listener.setblocking(False)
        self._host = host
        self._host_port = host_port
        self._wake, self._wait = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._halves: dict[socket.socket, list[_Half]] = {}
        self._thread = threading.Thread(target=self._serve, name="wallsocket-publish", daemon=True)
        self.address: str = self._listener.getsockname()[0]
        self.port: int = self._listener.getsockname()[1]
        self._thread.start()

    def __str__(self) -> str:
        near = f"[{self.address}]" if ":" in self.address else self.address
        mark = "" if self.protocol == "tcp" else f"/{self.protocol}"
        return f"{near}:{self.port}{mark} leads to {self._host.name}:{self._host_port}{mark}"

    def _listen(self, family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
        return socket.create_server(address, family=family)

    def _inside(self, kind: int) -> tuple[socket.socket, tuple[str, int]]:
        """A socket inside of the lab, and where it is to connect to."""
        # From another host where there is one, so that what comes from outside crosses the links, with their impairments.
        host, client = self._host, _client_of(self._host)
        address = host.address_on(client) if client is not host and _has_ipv4(host) else host.address or "127.0.0.1"
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return client.socket(family, kind | socket.SOCK_NONBLOCK), (address, self._host_port)

    def close(self) -> None:
        """End the listening and every connection. Again is nothing."""
        if self._thread.is_alive():
            self._wake.send(b"x")
            self._thread.join()
        self._wake.close()

    def _serve(self) -> None:
        select = self._selector
        select.register(self._listener, selectors.EVENT_READ)
        select.register(self._wait, selectors.EVENT_READ)
        try:
            while True:
                for key, events in select.select():
                    if key.fileobj is self._wait:
                        return
                    if key.fileobj is self._listener:
                        with contextlib.suppress(OSError):
                            self._accept()
                    elif isinstance(key.fileobj, socket.socket):
                        self._carry(key.fileobj, events)
        finally:
            for open_one in [self._listener, self._wait, *self._open()]:
                open_one.close()
            select.close()

    def _open(self) -> list[socket.socket]:
        return list(self._halves)

    def _accept(self) -> None:
        outside, _ = self._listener.accept()
        try:
            inside, address = self._inside(socket.SOCK_STREAM)
        except OSError:
            outside.close()
            raise
        outside.setblocking(False)
        for one in (outside, inside):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BlockingIOError):
            inside.connect(address)
        halves = [_Half(outside, inside), _Half(inside, outside)]
        for one in (outside, inside):
            self._halves[one] = halves
        self._selector.register(outside, selectors.EVENT_READ)
        self._selector.register(inside, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _carry(self, one: socket.socket, events: int) -> None:
        halves = self._halves.get(one)
        if halves is None:
            # Ended by what came for its other side.
            return
        try:
            if events & selectors.EVENT_READ:
                next(half for half in halves if half.reader is one).read()
            done = [half.write() for half in halves]
        except OSError:
            # A reset or a refusal on one side is passed on as a reset: an orderly end would say that all was well.
            self._end(halves, reset=True)
            return
        if all(done):
            self._end(halves, reset=False)
            return
        for side in (halves[0].reader, halves[1].reader):
            incoming = next(half for half in halves if half.reader is side)
            outgoing = next(half for half in halves if half.writer is side)
            wanted = selectors.EVENT_WRITE if outgoing.buffer else 0
            if not incoming.ended and len(incoming.buffer) < _ROOM:
                wanted |= selectors.EVENT_READ
            self._watch(side, wanted)

    def _watch(self, one: socket.socket, wanted: int) -> None:
        known = one in self._selector.get_map()
        if wanted and known:
            self._selector.modify(one, wanted)
        elif wanted:
            self._selector.register(one, wanted)
        elif known:
            self._selector.unregister(one)

    def _end(self, halves: list[_Half], *, reset: bool) -> None:
        for one in (halves[0].reader, halves[1].reader):
            self._watch(one, 0)
            del self._halves[one]
            if reset:
                with contextlib.suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()


class PublishedDatagrams(Published):
    """A published UDP port: every client outside gets a socket of its own in the host."""

    protocol = "udp"

    def _listen(self, family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
        self._by_client: OrderedDict[Any, socket.socket] = OrderedDict()
        self._clients: dict[socket.socket, Any] = {}
        made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            made.bind(address)
        except BaseException:
            made.close()
            raise
        return made

    def _open(self) -> list[socket.socket]:
        return list(self._clients)

    def _accept(self) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            data, client = self._listener.recvfrom(1 << 16)
            # What the host refuses or has no room for is lost, as datagrams are.
            with contextlib.suppress(OSError):
                self._socket_of(client).send(data)

    def _socket_of(self, client: Any) -> socket.socket:
        if client in self._by_client:
            self._by_client.move_to_end(client)
            return self._by_client[client]
        if len(self._by_client) == _MOST_CLIENTS:
            _, quiet = self._by_client.popitem(last=False)
            self._selector.unregister(quiet)
            del self._clients[quiet]
            quiet.close()
        inside, address = self._inside(socket.SOCK_DGRAM)
        try:
            inside.connect(address)
        except OSError:
            inside.close()
            raise
        self._by_client[client] = inside
        self._clients[inside] = client
        self._selector.register(inside, selectors.EVENT_READ)
        return inside

    def _carry(self, one: socket.socket, events: int) -> None:
        client = self._clients.get(one)
        if client is None:
            # Forgotten in this very turn.
            return
        # When the host has nobody at the port, the client is not told: as by a firewall that drops.
        with contextlib.suppress(OSError):
            for _ in range(_DATAGRAMS_AT_ONCE):
                self._listener.sendto(one.recv(1 << 16), client)
