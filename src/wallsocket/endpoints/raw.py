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
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ..errors import DatagramTooLong, UsageError
from . import flags as msg
from .base import Base, Blocking, byte_view, default_host, make_socket
from .states import UDP
from .steps import READABLE, WRITABLE, Steps, run

if TYPE_CHECKING:
    from ..kernel import Host

__all__ = ["Endpoint", "Packet"]

BUFFER_SIZE: Final = 65536

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


class EndpointSteps(Base):
    """A raw IPv4 socket: operations as steps, and everything that never waits."""

    graph = UDP
    protocol = "raw"

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
                if error.errno == errno.EMSGSIZE:
                    length = len(byte_view(data))
                    text = (
                        f"a packet of {length} bytes: IPv4 carries 65535 with its header, one with own_header the MTU"
                    )
                    long = DatagramTooLong(error.errno, text)
                    long.length = length
                    raise long from None
                raise self._failed(error, "send", None if to is None else (to, 0)) from None
            else:
                return
            yield WRITABLE


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
