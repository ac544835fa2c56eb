"""Raw IPv4 sockets: ICMP, and protocols of one's own, without TCP or UDP.

What the kernel does for a raw socket, and what it does not:

- It needs CAP_NET_RAW in its network namespace; a lab host has it without root.
- Sending, the kernel writes the IPv4 header. With ``own_header=True`` the program does, but total length and checksum
are
  always overwritten, and so are a zero identification and a zero source (raw(7)).
- Receiving, the IPv4 header is part of what comes, also without ``own_header``.
- Each socket gets a copy of every packet of its protocol; the kernel's own ICMP goes on answering beside it.
- There is no protocol 0: it has to be named. 255 (IPPROTO_RAW) only sends.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from .._core import sys as core
from ..errors import DatagramTooLong, UsageError
from . import flags as msg
from .base import Base, Blocking, byte_view, default_host, make_socket
from .states import UDP
from .steps import READABLE, WRITABLE, Steps, run

if TYPE_CHECKING:
    from ..kernel import Host

__all__ = ["Endpoint", "Packet"]

BUFFER_SIZE: Final = 65536
#: Packets that are received by one call unless told otherwise.
BATCH: Final = 64

_CONNECTED: Final = UDP.allowing("send")
_SENDABLE: Final = UDP.allowing("sendto")


class Packet(msgspec.Struct, frozen=True, gc=False):
    """One IPv4 packet.

    Attributes:
        payload: what follows the header.
        source: address of the sender.
        destination: address that it was sent to.
        protocol: number of the payload's protocol: 1 ICMP, 6 TCP, 17 UDP.
        ttl: hops that were left.
        identification: number that the fragments of a packet share.
        dont_fragment: the DF bit.
        tos: type-of-service byte (DSCP and ECN).
        options: header bytes behind the first 20.
        header: the whole header as it came.
    """

    payload: bytes
    source: str
    destination: str
    protocol: int
    ttl: int
    identification: int
    dont_fragment: bool
    tos: int
    options: bytes
    header: bytes


def parse(raw: bytes) -> Packet:
    """Return a packet as the kernel hands it to raw sockets.

    Raises:
        UsageError: shorter than its own header.
    """
    if len(raw) < 20 or len(raw) < (size := (raw[0] & 0x0F) * 4) or size < 20:
        raise UsageError(f"{len(raw)} bytes are no IPv4 packet")
    _, tos, _, identification, fragment, ttl, protocol, _, source, destination = struct.unpack_from(
        "!BBHHHBBH4s4s", raw
    )
    return Packet(
        raw[size:],
        socket.inet_ntoa(source),
        socket.inet_ntoa(destination),
        protocol,
        ttl,
        identification,
        bool(fragment & 0x4000),
        tos,
        raw[20:size],
        raw[:size],
    )


def _unpacked(address: bytes) -> str | None:
    return socket.inet_ntoa(address[4:8]) if address else None


class EndpointSteps(Base):
    """A raw IPv4 socket: operations as steps, and everything that never waits."""

    graph = UDP
    protocol = "raw"
    #: Room for the packets of a batch, and for how many.
    _room: tuple[int, core.Batch] | None = None

    @property
    def kernel_state(self) -> str:
        """``"ESTABLISHED"`` with a peer, ``"CLOSE"`` without, ``"none"`` when closed."""
        if self._state == "closed":
            return "none"
        return "ESTABLISHED" if self.peer is not None else "CLOSE"

    def bind(self, address: str) -> None:
        """Receive only what is sent to this local address, and send from it."""
        if self._state not in UDP.allowing("bind"):
            self._wrong("bind")
        try:
            self._socket.bind((address, 0))
        except OSError as error:
            raise self._failed(error, "bind", (address, 0)) from None
        self._state = "bound"

    def connect(self, address: str) -> None:
        """Choose one peer: the default destination, and the only sender."""
        if self._state not in UDP.allowing("connect"):
            self._wrong("connect")
        try:
            self._socket.connect((address, 0))
        except OSError as error:
            raise self._failed(error, "connect", (address, 0)) from None
        self._state = "connected"

    def _receive(self, flags: int) -> Steps[Packet]:
        if self._state == "closed":
            self._wrong("receive")
        while True:
            try:
                raw = self._recv(BUFFER_SIZE, flags)
            except BlockingIOError:
                pass
            except InterruptedError:
                continue
            except OSError as error:
                raise self._failed(error, "receive") from None
            else:
                return parse(raw)
            yield READABLE

    def _receive_many(self, count: int) -> Steps[list[Packet]]:
        if self._state == "closed":
            self._wrong("receive")
        if not 1 <= count <= core.BATCH_MAXIMUM:
            raise UsageError(f"count={count}: 1 to {core.BATCH_MAXIMUM} packets are received at once")
        while True:
            # Room is made at the first use, and again for more packets; a second caller at the same time makes its own.
            room, self._room = self._room, None
            if room is None or room[0] < count:
                room = (count, core.Batch(count, BUFFER_SIZE))
            try:
                found = room[1].receive(self._socket.fileno(), count, msg.DONTWAIT)
            except BlockingIOError:
                pass
            except InterruptedError:
                continue
            except OSError as error:
                raise self._failed(error, "receive") from None
            else:
                return [parse(raw) for raw, _, _ in found]
            finally:
                self._room = room
            yield READABLE

    def _send_many(self, packets: Iterable[tuple[Any, str | None]]) -> Steps[None]:
        sent = 0
        waiting: list[tuple[bytes, bytes]] = []
        try:
            for data, to in packets:
                if self._state not in (_CONNECTED if to is None else _SENDABLE):
                    self._wrong("send" if to is None else "sendto")
                waiting.append((bytes(byte_view(data)), b"" if to is None else self._packed(to)))
                if len(waiting) == BATCH:
                    sent += yield from self._send_batch(waiting, sent)
                    waiting = []
            if waiting:
                sent += yield from self._send_batch(waiting, sent)
        except Exception as error:
            # The error of a batch knows better.
            if not hasattr(error, "sent"):
                error.sent = sent  # type: ignore[attr-defined]
            raise

    def _send_batch(self, batch: list[tuple[bytes, bytes]], before: int) -> Steps[int]:
        done = 0
        while done < len(batch):
            try:
                done += core.send_many(self._socket.fileno(), batch[done:], msg.DONTWAIT)
                continue
            except BlockingIOError:
                pass
            except InterruptedError:
                continue
            except OSError as error:
                # The call fails at its first packet only, so this is the one.
                failed = self._not_sent(error, batch[done][0], _unpacked(batch[done][1]))
                failed.sent = before + done  # type: ignore[attr-defined]
                raise failed from None
            yield WRITABLE
        return done

    def _packed(self, to: str) -> bytes:
        """The address as the kernel takes it."""
        try:
            address = socket.inet_aton(to) if to.count(".") == 3 else None
        except OSError:
            address = None
        if address is None:
            raise UsageError(f"{to!r} is no IPv4 address")
        return struct.pack("=HH4s8x", socket.AF_INET, 0, address)

    def _send(self, data: Any, to: str | None, flags: int) -> Steps[None]:
        if self._state not in (_CONNECTED if to is None else _SENDABLE):
            self._wrong("send" if to is None else "sendto")
        while True:
            try:
                if to is None:
                    self._send_call(data, flags)
                else:
                    self._socket.sendto(data, flags, (to, 0))
            except BlockingIOError:
                pass
            except InterruptedError:
                continue
            except TypeError:
                byte_view(data)
                raise
            except OSError as error:
                raise self._not_sent(error, data, to) from None
            else:
                return
            yield WRITABLE

    def _not_sent(self, error: OSError, data: Any, to: str | None) -> BaseException:
        """The error of a packet that the kernel did not take."""
        if error.errno == errno.EMSGSIZE:
            length = len(byte_view(data))
            text = f"a packet of {length} bytes: IPv4 carries 65535 with its header, one with own_header the MTU"
            long = DatagramTooLong(error.errno, text)
            long.length = length
            return long
        return self._failed(error, "send", None if to is None else (to, 0))


class Endpoint(EndpointSteps, Blocking):
    """A raw IPv4 socket.

    Args:
        protocol: number (1 to 255) or name (``"icmp"``) of the IP protocol.
        own_header: packets to send begin with an IPv4 header of the program's (IP_HDRINCL).
        host: whose socket it is; the caller's own host by default.

    Raises:
        PermissionError: no CAP_NET_RAW.
    """

    def __init__(self, protocol: int | str, *, own_header: bool = False, host: Host | None = None) -> None:
        home = default_host(host)
        number = protocol_number(protocol)
        super().__init__(make_socket(home, socket.AF_INET, socket.SOCK_RAW, number), home, "created")
        if own_header:
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)

    def receive(self, *, timeout_s: float | None = None) -> Packet:
        """Return the next packet of the protocol, header parsed. The kernel has reassembled its fragments."""
        return run(self._receive(0 if timeout_s is None else msg.DONTWAIT), self, timeout_s, "receive")

    def receive_many(self, count: int = BATCH, *, timeout_s: float | None = None) -> list[Packet]:
        """Wait for a packet, and return it with those that are there behind it, at most ``count`` (1024): one system call."""
        return run(self._receive_many(count), self, timeout_s, "receive")

    def send_many(self, packets: Iterable[tuple[Any, str | None]], *, timeout_s: float | None = None) -> None:
        """Send packets, each with its destination (``None``: the peer), by one system call for every 64.

        An error says in ``sent`` how many packets were sent before it.
        """
        run(self._send_many(packets), self, timeout_s, "send")

    def send(self, data: Any, to: str | None = None, *, timeout_s: float | None = None) -> None:
        """Send one packet: a payload, or header and payload with ``own_header``."""
        flags = 0 if timeout_s is None else msg.DONTWAIT
        run(self._send(data, to, flags), self, timeout_s, "send")


def protocol_number(protocol: int | str) -> int:
    """Return the number of an IP protocol.

    Raises:
        UsageError: unknown name, or a number outside 1 to 255.
    """
    if isinstance(protocol, str):
        try:
            protocol = socket.getprotobyname(protocol)
        except OSError:
            known = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "ospf": 89}
            if protocol not in known:
                raise UsageError(f"no IP protocol is named {protocol!r}; give its number") from None
            protocol = known[protocol]
    if isinstance(protocol, bool) or not isinstance(protocol, int) or not 1 <= protocol <= 255:
        raise UsageError(f"an IP protocol is a number from 1 to 255, got {protocol!r}; raw sockets have no default")
    return protocol
