"""UDP: datagrams, complete.

A datagram arrives whole or not at all, or too long for the receiver's buffer: then `TruncatedDatagram` says so, with
the true length. ``timeout_s`` is ``None`` (wait), a number of seconds, or 0 (never wait), as for TCP.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import select
import socket
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from ..errors import DatagramTooLong, IcmpError, PortUnreachable, TruncatedDatagram, UsageError
from ..kernel import error_queue
from . import addresses
from . import flags as msg
from .addresses import Address, Target
from .base import Base, Blocking, Inet, byte_view, default_host, make_socket, positive
from .states import UDP
from .steps import READABLE, WRITABLE, Steps, run

if TYPE_CHECKING:
    from ..kernel import Host

__all__ = ["Datagram", "Endpoint", "bind", "connect"]

#: No UDP datagram is longer: 65535 less the UDP header, and for IPv4 less its header too (RFC 768, RFC 791, RFC 8200).
MAX_IPV4: Final = 65535 - 20 - 8
MAX_IPV6: Final = 65535 - 8
BUFFER_SIZE: Final = 65536

# include/uapi/linux/in.h, in6.h, udp.h, asm-generic/socket.h; Python's socket module lacks them.
IP_PKTINFO: Final = 8
IP_RECVTTL: Final = 12
IP_MTU: Final = 14
IPV6_MTU: Final = 24
UDP_SEGMENT: Final = 103
UDP_GRO: Final = 104
SO_RXQ_OVFL: Final = 40
SO_MEMINFO: Final = 55
MCAST_JOIN_GROUP: Final = 42
MCAST_LEAVE_GROUP: Final = 45
MCAST_JOIN_SOURCE_GROUP: Final = 46
MCAST_LEAVE_SOURCE_GROUP: Final = 47
#: Datagrams in one GSO send (UDP_MAX_SEGMENTS of the oldest kernels).
MAX_SEGMENTS: Final = 64

#: Errors that an ICMP message may have caused (net/ipv4/icmp.c, icmp_err_convert).
_FROM_ICMP: Final = frozenset(
    {
        errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EMSGSIZE, errno.EACCES,
        errno.EPROTO, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.ENONET,
    }
)  # fmt: skip


class Datagram(msgspec.Struct, frozen=True, gc=False):
    """One datagram and what came with it.

    Attributes:
        data: the payload.
        peer: who sent it, as the kernel gives addresses.
        local: the address of ours that it was sent to; ``None`` unless the endpoint collects details.
        interface: number of the interface on which it came; 0 when unknown.
        ttl: hops that were left (TTL, hop limit); ``None`` unless the endpoint collects details.
        dropped: datagrams that this socket had dropped when this one was queued (SO_RXQ_OVFL); ``None`` when the kernel
            said nothing: none so far, or no details.
    """

    data: bytes
    peer: Any
    local: str | None = None
    interface: int = 0
    ttl: int | None = None
    dropped: int | None = None


_SENDABLE: Final = UDP.allowing("sendto")
_CONNECTED: Final = UDP.allowing("send")
_RECEIVABLE: Final = UDP.allowing("receive")
_BINDABLE: Final = UDP.allowing("bind")
_CONNECTABLE: Final = UDP.allowing("connect")

EndpointT = TypeVar("EndpointT", bound="EndpointSteps")


class EndpointSteps(Base):
    """A UDP socket: operations as steps, and everything that never waits."""

    graph = UDP
    protocol = "udp"

    def __init__(self, sock: socket.socket, host: Host, state: str = "created") -> None:
        super().__init__(sock, host, state)
        self._recvfrom = sock.recvfrom
        self._sendto = sock.sendto
        self._details = False
        self._gro = False
        self._icmp = False
        self._port_asked = False
        #: Datagrams that came in one trip through the kernel with one that was returned.
        self._queue: deque[Datagram] = deque()
        #: An error that came behind datagrams which were returned.
        self._untold: OSError | None = None
        #: Addresses as they were given -> as the kernel takes them.
        self._known: dict[Any, Any] = {}
        self._v6 = sock.family == socket.AF_INET6

    # What is known of it

    @property
    def state(self) -> str:
        """Where in its life the endpoint is; ``"error pending"`` when the next call will report an ICMP error."""
        if self._state == "connected":
            poll = select.poll()
            poll.register(self._socket.fileno(), 0)
            if any(events & select.POLLERR for _, events in poll.poll(0)):
                return "error pending"
        return self._state

    @property
    def kernel_state(self) -> str:
        """``"unhashed"`` without a port, ``"CLOSE"`` with one, ``"ESTABLISHED"`` with a peer, ``"none"`` closed."""
        if self._state == "closed":
            return "none"
        if self.peer is not None:
            return "ESTABLISHED"
        return "CLOSE" if self._socket.getsockname()[1] else "unhashed"

    @property
    def dropped(self) -> int:
        """Datagrams that came but were dropped because the receive buffer was full (SO_MEMINFO)."""
        raw = self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36)
        return int(struct.unpack("9I", raw)[8])

    @property
    def path_mtu(self) -> int | None:
        """The largest IP packet that reaches the peer unfragmented, in bytes, as far as is known; needs a peer."""
        level, option = (socket.IPPROTO_IPV6, IPV6_MTU) if self._v6 else (socket.IPPROTO_IP, IP_MTU)
        try:
            return self._socket.getsockopt(level, option)
        except OSError:
            return None

    @property
    def ttl(self) -> int:
        """Hops that unicast datagrams may take."""
        if self._v6:
            return self._socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
        return self._socket.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)

    @ttl.setter
    def ttl(self, hops: int) -> None:
        if not 1 <= hops <= 255:
            raise UsageError(f"ttl must be 1 to 255, got {hops!r}")
        if self._v6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
        else:
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)

    @property
    def broadcast(self) -> bool:
        """Whether datagrams may go to broadcast addresses (else EACCES)."""
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST))

    @broadcast.setter
    def broadcast(self, on: bool) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, int(on))

    def collect_details(self, on: bool = True) -> None:
        """Have each datagram carry its destination address, interface, TTL and drop count. Costs about 2 µs each."""
        self._require_open("collect_details")
        sock = self._socket
        if self._v6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, int(on))
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, int(on))
        # An IPv6 socket that also gets IPv4 datagrams takes their TTL from the IPv4 option.
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, int(on))
        if not self._v6:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, int(on))
        sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, int(on))
        self._details = on

    def collect_icmp_errors(self, on: bool = True) -> None:
        """Have ICMP errors of earlier datagrams raised by the next call, with datagram and router (IP_RECVERR).

        On for endpoints with a peer. For a server it means that any client's vanishing interrupts the service.
        """
        self._require_open("collect_icmp_errors")
        error_queue.collect(self._socket, on)
        self._icmp = on

    def coalesce(self, on: bool = True) -> None:
        """Take equal datagrams of one peer in one trip through the kernel (UDP_GRO); they are returned one by one."""
        self._require_open("coalesce")
        self._socket.setsockopt(socket.IPPROTO_UDP, UDP_GRO, int(on))
        self._gro = on

    # Addresses

    def bind(self, address: Address) -> None:
        """Choose the local address; a port of 0 leaves the port to the kernel."""
        if self._state not in _BINDABLE:
            self._wrong("bind")
        self._named = address
        target = run(self._target(address, passive=True), None, None, "bind")
        try:
            self._socket.bind(target.sockaddr)
        except OSError as error:
            raise self._failed(error, "bind", target.sockaddr) from None
        self._state = "bound"
        self._port_asked = target.sockaddr[1] != 0

    def disconnect(self) -> None:
        """Give up the peer (connect to AF_UNSPEC): datagrams from anybody are taken again."""
        self._require_open("disconnect")
        from .tcp import disconnect

        disconnect(self._socket)
        # The kernel gives up a port of its own choice, and keeps one that was asked for. A shutdown stays.
        if self._state != "sending finished":
            self._state = "bound" if self._port_asked else "created"

    def finish_sending(self) -> None:
        """Make further sends fail with EPIPE; the peer is told nothing."""
        if self._state not in UDP.allowing("finish_sending"):
            self._wrong("finish_sending")
        self._socket.shutdown(socket.SHUT_WR)
        self._state = "sending finished"

    def _target(self, address: Address, *, passive: bool = False) -> Steps[Target]:
        where = addresses.parse(address, "udp")
        family = self._socket.family
        found = yield from addresses.targets(self._host, where, socket.SOCK_DGRAM, passive=passive, family=family)
        if not found:
            raise UsageError(f"{address!r} has no address of this endpoint's family")
        return found[0]

    def _sockaddr(self, to: Any) -> Steps[Any]:
        try:
            return self._known[to]
        except (KeyError, TypeError):
            pass
        target = yield from self._target(to)
        if len(self._known) >= 1024:
            self._known.clear()
        with contextlib.suppress(TypeError):
            self._known[to] = target.sockaddr
        return target.sockaddr

    def _connect(self, address: Address) -> Steps[None]:
        if self._state not in _CONNECTABLE:
            self._wrong("connect")
        self._named = address
        target = yield from self._target(address)
        try:
            self._socket.connect(target.sockaddr)
        except OSError as error:
            raise self._failed(error, "connect", target.sockaddr) from None
        if self._state != "sending finished":  # a shutdown stays
            self._state = "connected"

    # Multicast

    def join(self, group: str, *, interface: str | int = 0, source: str | None = None) -> None:
        """Receive what is sent to the multicast ``group``.

        Args:
            group: ``"239.1.2.3"`` or ``"ff15::1"``.
            interface: name or number; 0 lets the routing table choose, which is often not what was meant.
            source: take only this sender's datagrams (source-specific multicast, RFC 4607).
        """
        self._membership(MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP, group, interface, source)

    def leave(self, group: str, *, interface: str | int = 0, source: str | None = None) -> None:
        """Undo `join`, which needs the same arguments."""
        self._membership(MCAST_LEAVE_GROUP, MCAST_LEAVE_SOURCE_GROUP, group, interface, source)

    def _membership(self, plain: int, specific: int, group: str, interface: str | int, source: str | None) -> None:
        self._require_open("join")
        index = self._interface(interface)
        # struct group_req, struct group_source_req: the sockaddr_storage is aligned to 8 bytes.
        request = struct.pack("@I4x", index) + self._storage(group, "group", multicast=True)
        option = plain
        if source is not None:
            request += self._storage(source, "source", multicast=False)
            option = specific
        level = socket.IPPROTO_IPV6 if self._v6 else socket.IPPROTO_IP
        try:
            self._socket.setsockopt(level, option, request)
        except OSError as error:
            raise self._failed(error, "join", (group, self._socket.getsockname()[1])) from None

    def _interface(self, interface: str | int) -> int:
        return interface if isinstance(interface, int) else self._host.interface_index(interface)

    def _storage(self, text: str, name: str, *, multicast: bool) -> bytes:
        try:
            number = ipaddress.ip_address(text)
        except ValueError:
            raise UsageError(f"{name} {text!r} is no IP address") from None
        if number.is_multicast != multicast:
            raise UsageError(f"{name} {text!r} is {'no' if multicast else 'a'} multicast address")
        if (number.version == 6) != self._v6:
            raise UsageError(f"{name} {text!r} is IPv{number.version}, this endpoint is IPv{6 if self._v6 else 4}")
        if number.version == 4:
            packed = struct.pack("=HH", socket.AF_INET, 0) + number.packed
        else:
            packed = struct.pack("=HHI", socket.AF_INET6, 0, 0) + number.packed
        return packed.ljust(128, b"\0")

    def send_multicast(
        self, *, interface: str | int | None = None, ttl: int | None = None, loop: bool | None = None
    ) -> None:
        """Set how multicast datagrams leave.

        Args:
            interface: by which interface (name or number).
            ttl: how many hops; the kernel's default is 1, the own network.
            loop: whether members on this host get them too; the kernel's default is yes.
        """
        self._require_open("send_multicast")
        sock = self._socket
        if interface is not None:
            index = self._interface(interface)
            if self._v6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            else:
                # struct ip_mreqn: group and address are not used here.
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", b"", b"", index))
        if ttl is not None:
            if not 0 <= ttl <= 255:
                raise UsageError(f"ttl must be 0 to 255, got {ttl!r}")
            if self._v6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
            else:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        if loop is not None:
            if self._v6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, int(loop))
            else:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, int(loop))

    # Receiving

    def _now_receive(self, max_bytes: int, flags: int) -> Datagram | None:
        """Receive without waiting beyond what ``flags`` allow; ``None``: nothing is there yet."""
        if self._state not in _RECEIVABLE:
            self._wrong("receive")
        if self._queue:
            found = self._queue[0] if flags & msg.PEEK else self._queue.popleft()
            if len(found.data) > max_bytes:
                raise _truncated(len(found.data), found.data[:max_bytes], found.peer)
            return found
        if self._untold is not None:
            error, self._untold = self._untold, None
            raise self._network_error(error, "receive")
        while True:
            try:
                if max_bytes >= BUFFER_SIZE and not (self._details or self._gro):
                    # No datagram is longer than this buffer.
                    return Datagram(*self._recvfrom(BUFFER_SIZE, flags))
                return self._receive_message(max_bytes, flags)
            except BlockingIOError:
                return None
            except InterruptedError:
                continue
            except OSError as error:
                raise self._network_error(error, "receive") from None

    def _arrived(self, max_bytes: int, flags: int) -> Datagram | None:
        """Receive after a wait, which also ends for an entry in the error queue; recv() does not always report that."""
        found = self._now_receive(max_bytes, flags)
        if found is None and (told := self._icmp_error()) is not None:
            raise told
        return found

    def _receive(self, max_bytes: int, flags: int) -> Steps[Datagram]:
        found = self._now_receive(max_bytes, flags)
        while found is None:
            yield READABLE
            found = self._arrived(max_bytes, flags)
        return found

    def _receive_message(self, max_bytes: int, flags: int) -> Datagram:
        """Receive with control messages; raises what recvmsg() raises, and `TruncatedDatagram`."""
        size = BUFFER_SIZE if self._gro else max_bytes
        if size < BUFFER_SIZE:
            # With MSG_TRUNC the kernel returns the true length; only a buffer of ours makes that safe in Python.
            buffer = bytearray(size)
            length, control, _, peer = self._socket.recvmsg_into([buffer], 512, flags | msg.TRUNC)
            data = bytes(buffer[:length])
        else:
            data, control, _, peer = self._socket.recvmsg(BUFFER_SIZE, 512, flags)
            length = len(data)
        local, interface, ttl, dropped, segment = None, 0, None, None, 0
        for level, kind, value in control:
            if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                interface, _, packed = struct.unpack_from("=i4s4s", value)
                local = socket.inet_ntop(socket.AF_INET, packed)
            elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                packed, interface = struct.unpack_from("=16si", value)
                local = socket.inet_ntop(socket.AF_INET6, packed)
            elif (level == socket.IPPROTO_IP and kind == socket.IP_TTL) or (
                level == socket.IPPROTO_IPV6 and kind == socket.IPV6_HOPLIMIT
            ):
                (ttl,) = struct.unpack_from("=i", value)
            elif level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
                (dropped,) = struct.unpack_from("=I", value)
            elif level == socket.IPPROTO_UDP and kind == UDP_GRO:
                (segment,) = struct.unpack_from("=i", value)
        if length > len(data):
            raise _truncated(length, data, peer)
        first = data
        if segment and length > segment:
            first = data[:segment]
            if not flags & msg.PEEK:
                rest = range(segment, length, segment)
                self._queue.extend(
                    Datagram(data[at : at + segment], peer, local, interface, ttl, dropped) for at in rest
                )
        if len(first) > max_bytes:
            raise _truncated(len(first), first[:max_bytes], peer)
        return Datagram(first, peer, local, interface, ttl, dropped)

    def _now_many(self, limit: int, flags: int) -> list[Datagram] | None:
        """Receive all that is there, up to ``limit``; ``None`` as `_now_receive`."""
        first = self._now_receive(BUFFER_SIZE, flags)
        return None if first is None else self._and_more(first, limit, flags | msg.DONTWAIT)

    def _arrived_many(self, limit: int, flags: int) -> list[Datagram] | None:
        first = self._arrived(BUFFER_SIZE, flags)
        return None if first is None else self._and_more(first, limit, flags | msg.DONTWAIT)

    def _receive_many(self, limit: int, flags: int) -> Steps[list[Datagram]]:
        first = yield from self._receive(BUFFER_SIZE, flags)
        return self._and_more(first, limit, flags | msg.DONTWAIT)

    def _put_back(self, datagrams: Sequence[Datagram]) -> None:
        """Keep for the next receive what a cancelled one had taken."""
        self._queue.extendleft(reversed(datagrams))

    def _and_more(self, first: Datagram, limit: int, more: int) -> list[Datagram]:
        found = [first]
        simple = not (self._details or self._gro)
        queue = self._queue
        append = found.append
        try:
            while len(found) < limit:
                if queue:
                    append(queue.popleft())
                elif simple:
                    data, peer = self._recvfrom(BUFFER_SIZE, more)
                    append(Datagram(data, peer))
                else:
                    append(self._receive_message(BUFFER_SIZE, more))
        except (BlockingIOError, InterruptedError):
            pass  # nothing more is there
        except OSError as error:
            self._untold = error  # the kernel tells it once: it is for the next call
        return found

    # Sending

    def _send(self, data: Any, to: Any, flags: int, source: str | None, interface: str | int) -> Steps[None]:
        if to is None:
            if self._state not in _CONNECTED:
                self._wrong("send")
            sockaddr = None
        else:
            if self._state not in _SENDABLE:
                self._wrong("sendto")
            sockaddr = self._known.get(to) if type(to) is tuple else None
            if sockaddr is None:
                sockaddr = yield from self._sockaddr(to)
        while not self._now_send(data, sockaddr, flags, source, interface):
            yield WRITABLE

    def _now_send(self, data: Any, sockaddr: Any, flags: int, source: str | None, interface: str | int) -> bool:
        """Send without waiting beyond what ``flags`` allow; ``False``: there is no room yet."""
        while True:
            try:
                if source is not None or interface:
                    ancillary = [self._source(source, self._interface(interface))]
                    self._socket.sendmsg([data], ancillary, flags, sockaddr)
                elif sockaddr is None:
                    self._send_call(data, flags)
                else:
                    self._sendto(data, flags, sockaddr)
            except BlockingIOError:
                return False
            except InterruptedError:
                continue
            except TypeError:
                byte_view(data)
                raise
            except OSError as error:
                raise self._network_error(error, "send", sockaddr, data) from None
            else:
                if self._state == "created":
                    self._state = "bound"
                return True

    def _known_peer(self, to: Any) -> Any:
        """Return ``to`` as the kernel takes it, if it was sent to before and may be sent to now."""
        return self._known.get(to) if type(to) is tuple and self._state in _SENDABLE else None

    def _source(self, source: str | None, interface: int) -> tuple[int, int, bytes]:
        text = source if source is not None else ("::" if self._v6 else "0.0.0.0")  # noqa: S104  "any", not a bind
        try:
            packed = socket.inet_pton(socket.AF_INET6 if self._v6 else socket.AF_INET, text)
        except OSError:
            raise UsageError(f"source {source!r} is no IPv{6 if self._v6 else 4} address") from None
        if self._v6:
            return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, struct.pack("=16si", packed, interface)
        return socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=i4s4s", interface, packed, b"")

    def _send_many(self, datagrams: Sequence[Any], to: Any, flags: int) -> Steps[int]:
        """Send all; return how many. Runs of equal ones go in one system call (UDP_SEGMENT)."""
        if to is None and self._state not in _CONNECTED:
            self._wrong("send")
        sockaddr = None if to is None else (yield from self._sockaddr(to))
        sent = 0
        while sent < len(datagrams):
            size = len(datagrams[sent])
            limit = min(MAX_SEGMENTS, (MAX_IPV4 // size) if size else 1)
            end = sent + 1
            while end < len(datagrams) and end - sent < limit and len(datagrams[end]) == size:
                end += 1
            if end - sent > 1 and (yield from self._send_segments(datagrams[sent:end], size, sockaddr, flags)):
                sent = end
                continue
            for data in datagrams[sent:end]:
                yield from self._send(data, to, flags, None, 0)
                sent += 1
        return sent

    def _send_segments(self, run_of: Sequence[Any], size: int, sockaddr: Any, flags: int) -> Steps[bool]:
        ancillary = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))]
        while True:
            try:
                self._socket.sendmsg(run_of, ancillary, flags, sockaddr)
            except BlockingIOError:
                pass
            except InterruptedError:
                continue
            except OSError as error:
                if error.errno in (errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT):
                    return False  # the path cannot: the caller sends them singly
                raise self._network_error(error, "send", sockaddr) from None
            else:
                return True
            yield WRITABLE

    # Errors

    def _network_error(self, error: OSError, doing: str, sockaddr: Any = None, data: Any = None) -> Exception:
        if self._icmp and error.errno in _FROM_ICMP:
            told = self._icmp_error()
            # A send that is too long itself leaves an entry, too, but it says less than we know.
            if told is not None and not (isinstance(told, DatagramTooLong) and told.reporter is None):
                return told
        if error.errno == errno.EMSGSIZE and data is not None:
            return self._too_long(len(byte_view(data)), sockaddr, error)
        if error.errno == errno.ECONNREFUSED and doing in ("send", "receive"):
            refused = PortUnreachable(
                error.errno, "the destination host has no socket on that port (ICMP port unreachable)"
            )
            refused.destination = sockaddr if sockaddr is not None else self.peer
            return self._failed(refused, doing, refused.destination)
        return self._failed(error, doing, sockaddr if sockaddr is not None else self._peer_or_none())

    def _peer_or_none(self) -> Any:
        try:
            return self._socket.getpeername()
        except OSError:
            return None

    def _too_long(self, length: int, sockaddr: Any, error: OSError) -> DatagramTooLong:
        most = MAX_IPV6 if self._v6 else MAX_IPV4
        limit: int | None = most
        if length > most:
            text = f"a datagram of {length} bytes: UDP over IPv{6 if self._v6 else 4} carries at most {most}"
        else:
            mtu = self.path_mtu
            limit = None if mtu is None else mtu - (48 if self._v6 else 28)
            known = "unknown" if limit is None else f"{limit} bytes"
            text = (
                f"a datagram of {length} bytes is too long for the path and may not be fragmented; the limit is {known}"
            )
        made = DatagramTooLong(errno.EMSGSIZE, text)
        made.length = length
        made.limit = limit
        made.__cause__ = error
        return made

    def _icmp_error(self) -> IcmpError | DatagramTooLong | None:
        """Take one entry of the error queue; ``None`` when it is empty."""
        try:
            data, control, _, destination = self._socket.recvmsg(BUFFER_SIZE, 512, msg.ERRQUEUE | msg.DONTWAIT)
        except OSError:
            return None
        told = error_queue.queued_error(control)
        if told is None:
            return None
        number, icmp, mtu, reporter = told
        if number == errno.EMSGSIZE:
            limit = mtu - (48 if self._v6 else 28)
            if icmp is None:
                reporter = None
            # A router quotes the beginning of the datagram, not all of it.
            size = f"{len(data)} bytes" if reporter is None else f"at least {len(data)} bytes"
            text = f"a datagram of {size} was too long for the path to {addresses.shown(destination)}"
            text = f"{text}; the limit is {limit} bytes ({reporter or 'this host'} knows an MTU of {mtu})"
            long = DatagramTooLong(number, text)
            long.length, long.limit, long.reporter = len(data), limit, reporter
            return long
        said = f"{reporter} reports" if reporter else "this host reports"
        kind_of = PortUnreachable if number == errno.ECONNREFUSED else IcmpError
        what = f", ICMP type {icmp[0]} code {icmp[1]}" if icmp else ""
        words = icmp_words(number, icmp, reporter, str(destination[0]))
        made = kind_of(number, f"{said} for a datagram to {addresses.shown(destination)}: {words}{what}")
        made.destination, made.reporter, made.icmp, made.datagram = destination, reporter, icmp, data
        failed = self._failed(made, "send", destination)
        return failed if isinstance(failed, IcmpError) else made


def icmp_words(number: int, icmp: tuple[int, int] | None, reporter: str | None, destination: str) -> str:
    """Return what an ICMP error means, in words; ``number`` is the errno that the kernel makes of it."""
    if icmp is not None and icmp[0] == (3 if ":" in destination else 11):
        return "its hops (TTL) were used up"
    if icmp in ((1, 1), (1, 5)) if ":" in destination else icmp in ((3, 9), (3, 10), (3, 13)):
        return "administratively prohibited"
    if number == errno.ECONNREFUSED and reporter not in (None, destination):
        return "refused on the way, as if the port were closed"
    words = {
        errno.ECONNREFUSED: "no socket on that port",
        errno.EHOSTUNREACH: "host unreachable",
        errno.ENETUNREACH: "network unreachable",
        errno.EACCES: "administratively prohibited",
    }
    return words.get(number) or errno.errorcode.get(number, str(number))


def _truncated(length: int, data: bytes, peer: Any) -> TruncatedDatagram:
    room = len(data)
    text = f"a datagram of {length} bytes from {addresses.shown(peer)} did not fit into max_bytes={room}"
    return TruncatedDatagram(f"{text}; {length - room} bytes are lost", length, data, peer)


def bind_steps(
    kind: type[EndpointT],
    address: Address,
    host: Host | None,
    reuse_address: bool,
    reuse_port: bool,
    ipv6_only: bool | None,
    details: bool | None,
) -> Steps[EndpointT]:
    """Create and bind."""
    home = default_host(host)
    where = addresses.parse(address, "udp")
    found = yield from addresses.targets(home, where, socket.SOCK_DGRAM, passive=True)
    if not found:
        raise UsageError(f"{address!r} has no address")
    target = found[0]
    endpoint = kind(make_socket(home, target.family, socket.SOCK_DGRAM), home)
    sock = endpoint._socket
    endpoint._named = address
    try:
        if reuse_address:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if ipv6_only is not None and sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(ipv6_only))
        try:
            sock.bind(target.sockaddr)
        except OSError as error:
            raise endpoint._failed(error, "bind", target.sockaddr) from None
        endpoint._state = "bound"
        endpoint._port_asked = target.sockaddr[1] != 0
        if details or (details is None and ipaddress.ip_address(target.sockaddr[0]).is_unspecified):
            endpoint.collect_details()
    except BaseException:
        endpoint._close()
        raise
    return endpoint


def connect_steps(
    kind: type[EndpointT], address: Address, host: Host | None, source: Address | None, icmp_errors: bool
) -> Steps[EndpointT]:
    """Create and connect to the first address that takes it."""
    home = default_host(host)
    where = addresses.parse(address, "udp")
    found = yield from addresses.targets(home, where, socket.SOCK_DGRAM)
    if not found:
        raise UsageError(f"{address!r} has no address")
    failure: OSError | None = None
    for target in found:
        endpoint = kind(make_socket(home, target.family, socket.SOCK_DGRAM), home)
        endpoint._named = address
        try:
            if source is not None:
                endpoint.bind(source)
            if icmp_errors:
                endpoint.collect_icmp_errors()
            endpoint._socket.connect(target.sockaddr)
        except OSError as error:
            failure = endpoint._failed(error, "connect", target.sockaddr)
            endpoint._close()
        except BaseException:
            endpoint._close()
            raise
        else:
            endpoint._state = "connected"
            return endpoint
    assert failure is not None  # there was a target, and it failed
    raise failure


class Endpoint(Inet, EndpointSteps, Blocking):
    """A UDP socket; iterating receives for ever. Closing tells the peer nothing; what was not received is lost.

    Made by `bind`, by `connect`, or step by step: ``Endpoint()``, `Endpoint.bind`, `Endpoint.connect`.
    """

    socket_kind = socket.SOCK_DGRAM

    def connect(self, address: Address, *, timeout_s: float | None = None) -> None:
        """Choose one peer: the default destination, the only sender, and errors are reported. Sends no packet."""
        run(self._connect(address), self, timeout_s, "connect")

    def receive(self, max_bytes: int = BUFFER_SIZE, *, timeout_s: float | None = None, peek: bool = False) -> Datagram:
        """Return the next datagram; an empty one is a datagram, too.

        Args:
            max_bytes: room for the datagram; the default takes every one.
            timeout_s: see the module.
            peek: leave the datagram where it is (MSG_PEEK).

        Raises:
            TruncatedDatagram: it was longer than ``max_bytes``.
            PortUnreachable, IcmpError: an earlier datagram of ours came back with an error.
        """
        flags = 0 if timeout_s is None else msg.DONTWAIT
        if peek:
            flags |= msg.PEEK
        if max_bytes < BUFFER_SIZE:
            positive(max_bytes, "max_bytes")
        if (found := self._now_receive(max_bytes, flags)) is not None:
            return found
        return run(self._receive(max_bytes, flags), self, timeout_s, "receive")

    def receive_many(self, limit: int = 64, *, timeout_s: float | None = None) -> list[Datagram]:
        """Return the datagrams that are there, at most ``limit``, waiting for the first."""
        positive(limit, "limit")
        flags = 0 if timeout_s is None else msg.DONTWAIT
        if (found := self._now_many(limit, flags)) is not None:
            return found
        return run(self._receive_many(limit, flags), self, timeout_s, "receive")

    def send(
        self,
        data: Any,
        to: Address | None = None,
        *,
        source: str | None = None,
        interface: str | int = 0,
        timeout_s: float | None = None,
    ) -> None:
        """Send one datagram.

        Args:
            data: any buffer of bytes; an empty one is a datagram, too.
            to: destination; the peer by default.
            source: address of ours to send from, of an endpoint that is bound to all of them.
            interface: by which interface.
            timeout_s: see the module; sending waits only for room in the send buffer.

        Raises:
            DatagramTooLong: longer than UDP or the path allows; nothing was sent.
            OSError: with the likely reason as a note.
        """
        flags = msg.NOSIGNAL if timeout_s is None else msg.SEND_NOW
        known = self._known_peer(to) if source is None and not interface else None
        if known is None or not self._now_send(data, known, flags, None, 0):
            run(self._send(data, to, flags, source, interface), self, timeout_s, "send")

    def send_many(self, datagrams: Iterable[Any], to: Address | None = None, *, timeout_s: float | None = None) -> int:
        """Send datagrams to one destination; return how many. Runs of equal length share a system call (GSO)."""
        flags = msg.NOSIGNAL if timeout_s is None else msg.SEND_NOW
        return run(self._send_many(list(datagrams), to, flags), self, timeout_s, "send")

    def reply(self, datagram: Datagram, data: Any, *, timeout_s: float | None = None) -> None:
        """Answer ``datagram`` from the very address that it was sent to, as its sender expects."""
        flags = msg.NOSIGNAL if timeout_s is None else msg.SEND_NOW
        run(self._send(data, datagram.peer, flags, reply_source(datagram), 0), self, timeout_s, "send")

    def __iter__(self) -> Iterator[Datagram]:
        while True:
            yield self.receive()


def reply_source(datagram: Datagram) -> str | None:
    """Return the address from which ``datagram`` is to be answered; none of ours may send from a multicast address."""
    if datagram.local is None:
        return None
    number = ipaddress.ip_address(datagram.local)
    broadcast = number.version == 4 and datagram.local.endswith(".255")
    return None if number.is_multicast or broadcast else datagram.local


def bind(
    address: Address,
    *,
    host: Host | None = None,
    reuse_address: bool = False,
    reuse_port: bool = False,
    ipv6_only: bool | None = None,
    details: bool | None = None,
) -> Endpoint:
    """Create an endpoint on ``address``: ``":53"``, ``"127.0.0.1:0"``, ``"[::]:5000"``.

    Args:
        address: where to receive; port 0 takes a free one (see `Endpoint.local`).
        host: where the socket is made; the caller's own host by default.
        reuse_address: several sockets may have the port. Right for multicast, where each gets a copy; for unicast the
            last one takes all.
        reuse_port: several sockets of one user share the port's datagrams (SO_REUSEPORT).
        ipv6_only: whether an IPv6 endpoint leaves IPv4 alone; ``None``: the host's default.
        details: see `Endpoint.collect_details`; by default on when bound to all addresses, where replies need it.
    """
    return run(bind_steps(Endpoint, address, host, reuse_address, reuse_port, ipv6_only, details), None, None, "bind")


def connect(
    address: Address, *, host: Host | None = None, source: Address | None = None, icmp_errors: bool = True
) -> Endpoint:
    """Create an endpoint whose peer is ``address``.

    Args:
        address: ``"host:port"`` or a tuple.
        host: where the socket is made; the caller's own host by default.
        source: local address.
        icmp_errors: see `Endpoint.collect_icmp_errors`.
    """
    return run(connect_steps(Endpoint, address, host, source, icmp_errors), None, None, "connect")
