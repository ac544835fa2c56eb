"""Packets that calls imply, for a recording without a wire: what a capture would have shown, as far as it follows.

A connect that succeeded stands for a handshake, bytes that were given away for segments, an end of a stream for a FIN, a
reset that a call told for a RST. Lengths, directions and order are the recording's; sequence numbers count from 1;
windows, retransmissions and the kernel's own acknowledgements of data are not made up. Of a socket whose peer was traced
too, each byte stands once: where it was sent.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ... import wire
from ...events import Call, Moment, Socket
from ...kernel.address import End, end_of
from ..joins import kind_of
from ..syscalls import Role, moved
from .material import Material

__all__ = ["Implied", "implied"]

#: LINKTYPE_RAW and LINKTYPE_WIRESHARK_UPPER_PDU (https://www.tcpdump.org/linktypes.html).
_RAW: Final = 101
_UPPER_PDU: Final = 252
#: Tags of Wireshark's exported PDUs (epan/exported_pdu.h): dissector, and the texts of two columns.
_DISSECTOR, _PROTOCOL_COLUMN, _INFO_COLUMN = 12, 33, 36
#: Payload of one segment: what an IPv4 packet has room for.
_LONGEST: Final = 65_000
_ECONNRESET: Final = 104
_ECONNREFUSED: Final = 111
_EPIPE: Final = 32
_MAPPED: Final = bytes(10) + b"\xff\xff"


class Implied(NamedTuple):
    """A packet that nobody captured."""

    at_ns: int
    link_type: int
    frame: bytes
    length: int  #: of the whole packet; ``frame`` is its beginning
    why: str  #: what it follows from
    call: Call | None
    socket: int | None


def implied(material: Material) -> list[Implied]:
    """The packets, in the order of time."""
    made = _Maker(material)
    return sorted(made.packets(), key=lambda packet: packet.at_ns)


class _Stream:
    """One direction of what a socket says, and whether its handshake was shown."""

    __slots__ = ("ended", "met", "next", "reset")

    def __init__(self) -> None:
        self.met = False
        self.ended = False
        self.reset = False
        self.next = [1, 1]  #: next stream position out, and in


class _Maker:
    def __init__(self, material: Material) -> None:
        self._material = material
        self._recording = material.recording
        self._text = material.discretion
        self._streams: dict[int, _Stream] = {}
        self._joins = material.timeline.joins
        self._unread: dict[int, int] = {}

    def packets(self) -> Iterator[Implied]:
        for state in self._recording.states():
            if state.moment == Moment.ENTRY and state.receive_queue is not None:
                self._unread[state.socket] = state.receive_queue
        for call in self._recording.calls():
            if call.took_ns is None:
                continue
            yield from self._accepted(call)
            item = self._recording.sockets.get(call.socket) if call.socket is not None else None
            if item is None:
                continue
            kind = kind_of(item)
            if kind == "tcp":
                yield from self._tcp(call, item)
            elif kind == "udp":
                yield from self._udp(call, item)
            elif kind == "unix":
                yield from self._unix(call, item)
        for item in self._recording.sockets.values():
            if item.ended_ns is not None and kind_of(item) == "tcp":
                yield from self._closed(item, item.ended_ns)

    # -- TCP

    def _tcp(self, call: Call, item: Socket) -> Iterator[Implied]:
        role, at_ns = self._text.role(call), call.entry_ns
        if role is Role.CONNECT:
            yield from self._connect(call, item)
            return
        ends = self._ends(item)
        if ends is None or role not in (Role.SEND, Role.RECEIVE, Role.END):
            return
        stream = self._stream(item.id)
        if call.errno in (_ECONNRESET, _EPIPE) and not stream.reset and self._peer(item.id) is None:
            if call.errno == _ECONNRESET:
                stream.reset = True
                yield self._segment(
                    item.id, ends, "R.", call.exit_ns or at_ns, "a call told the reset", call, out=False
                )
            return
        count, _ = moved(call, self._text.name(call))
        if role is Role.SEND and count:
            yield from self._handshake(item, ends, call, at_ns)
            yield from self._data(item.id, ends, call, count, at_ns, out=True)
        elif role is Role.RECEIVE and self._peer(item.id) is None and call.result is not None and call.result >= 0:
            if (call.a or 0) & socket.MSG_PEEK and self._text.name(call).startswith("recv"):
                return
            yield from self._handshake(item, ends, call, at_ns)
            if count:
                yield from self._data(item.id, ends, call, count, call.exit_ns or at_ns, out=False)
            elif call.length:
                yield self._segment(
                    item.id, ends, "F.", call.exit_ns or at_ns, "the end of the stream was read", call, out=False
                )
        elif role is Role.END and self._text.name(call) == "shutdown" and call.a in (1, 2) and call.result == 0:
            if stream.ended:
                return
            stream.ended = True
            yield self._segment(item.id, ends, "F.", at_ns, "the program ended its side", call, out=True)

    def _connect(self, call: Call, item: Socket) -> Iterator[Implied]:
        target = end_of(call.address)
        local = end_of(item.local)
        if target is None:
            return
        ends = (
            local if local is not None and not local.any else End(_same_kind(target), local.port if local else 0),
            target,
        )
        stream = self._stream(item.id)
        if stream.met:
            return
        yield self._segment(item.id, ends, "S", call.entry_ns, "the program asked to connect", call, out=True)
        if call.errno == _ECONNREFUSED:
            yield self._segment(item.id, ends, "R.", call.exit_ns or 0, "the connection was refused", None, out=False)
        elif call.result == 0:
            stream.met = True
            yield from self._answered(item.id, ends, call.exit_ns or 0)

    def _answered(self, socket: int, ends: tuple[End, End], at_ns: int) -> Iterator[Implied]:
        yield self._segment(socket, ends, "S.", at_ns, "the connection was made", None, out=False)
        yield self._segment(socket, ends, ".", at_ns, "the connection was made", None, out=True)

    def _accepted(self, call: Call) -> Iterator[Implied]:
        """A connection that was accepted, of a client that was not traced."""
        item = self._recording.sockets.get(call.made) if call.made is not None else None
        if item is None or item.origin != "accept" or kind_of(item) != "tcp" or self._peer(item.id) is not None:
            return
        ends = self._ends(item)
        stream = self._stream(item.id)
        if ends is not None and not stream.met:
            stream.met = True
            at_ns = call.exit_ns or call.entry_ns
            yield self._segment(item.id, ends, "S", at_ns, "a connection was accepted", None, out=False)
            yield self._segment(item.id, ends, "S.", at_ns, "a connection was accepted", None, out=True)
            yield self._segment(item.id, ends, ".", at_ns, "a connection was accepted", None, out=False)

    def _handshake(self, item: Socket, ends: tuple[End, End], call: Call, at_ns: int) -> Iterator[Implied]:
        """The rest of that of a connect that did not wait: its first bytes show that it came about."""
        stream = self._stream(item.id)
        if not stream.met:
            stream.met = True
            if item.origin == "socket":
                yield from self._answered(item.id, ends, at_ns)

    def _closed(self, item: Socket, at_ns: int) -> Iterator[Implied]:
        ends = self._ends(item)
        stream = self._streams.get(item.id)
        if ends is None or stream is None or not stream.met or stream.ended or stream.reset:
            return
        closing = self._closing(item, at_ns)
        if self._unread.get(item.id):
            yield self._segment(item.id, ends, "R.", at_ns, "closed with bytes unread, which resets", closing, out=True)
        else:
            yield self._segment(item.id, ends, "F.", at_ns, "its last descriptor was closed", closing, out=True)

    def _closing(self, item: Socket, at_ns: int) -> Call | None:
        for call in self._recording.calls(socket=item.id, since_ns=at_ns, until_ns=at_ns):
            if self._text.name(call) in ("close", "close_range", "dup2", "dup3"):
                return call
        return None

    def _data(
        self, socket: int, ends: tuple[End, End], call: Call, count: int, at_ns: int, *, out: bool
    ) -> Iterator[Implied]:
        why = "bytes were sent" if out else "bytes were received"
        for begin in range(0, count, _LONGEST):
            yield self._segment(
                socket, ends, "P.", at_ns, why, call, out=out, begin=begin, length=min(_LONGEST, count - begin)
            )

    def _segment(
        self,
        socket: int,
        ends: tuple[End, End],
        flags: str,
        at_ns: int,
        why: str,
        call: Call | None,
        *,
        out: bool,
        begin: int = 0,
        length: int = 0,
    ) -> Implied:
        stream = self._stream(socket)
        # Both ends of one connection count together.
        peer = self._peer(socket)
        if peer is not None and peer in self._streams:
            other = self._streams[peer]
            stream.next = [max(stream.next[0], other.next[1]), max(stream.next[1], other.next[0])]
        own, far = stream.next if out else stream.next[::-1]
        if "S" in flags:
            own -= 1
        header = wire.TCP(
            source_port=ends[0 if out else 1].port,
            destination_port=ends[1 if out else 0].port,
            sequence_number=own & 0xFFFFFFFF,
            acknowledgement_number=far & 0xFFFFFFFF if "." in flags else 0,
            flags=flags,
        )
        stream.next[0 if out else 1] += length + ("F" in flags)
        return self._packet(ends, header, out, at_ns, why, call, socket, begin, length)

    def _packet(
        self,
        ends: tuple[End, End],
        header: wire.TCP | wire.UDP,
        out: bool,
        at_ns: int,
        why: str,
        call: Call | None,
        socket: int,
        begin: int,
        length: int,
    ) -> Implied:
        source, destination = ends if out else ends[::-1]
        kept = (call.payload or b"")[begin : begin + length] if call is not None and self._text.with_payload else b""
        body = kept.ljust(length, b"\0")
        whole = bytes(_internet(source, destination) / header / wire.Raw(body))
        # What was not recorded, or is not told, is cut off as by a capture's snap length.
        return Implied(at_ns, _RAW, whole[: len(whole) - length + len(kept)], len(whole), why, call, socket)

    # -- datagrams

    def _udp(self, call: Call, item: Socket) -> Iterator[Implied]:
        role = self._text.role(call)
        if call.result is None or call.result < 0 or role not in (Role.SEND, Role.RECEIVE):
            return
        out = role is Role.SEND
        far = end_of(call.address) or end_of(item.remote)
        local = end_of(item.local)
        if far is None or local is None or (call.a or 0) & socket.MSG_PEEK:
            return
        if not out and self._joins.at(far, item.id, call.entry_ns):
            return  # it stands where it was sent
        if local.any:
            local = End(_same_kind(far) if far.loopback else local.address, local.port)
        count, messages = moved(call, self._text.name(call))
        sizes = [count] if messages == 1 else _sizes(call, messages)
        for size in sizes:
            header = wire.UDP(source_port=(local if out else far).port, destination_port=(far if out else local).port)
            why = "a datagram was sent" if out else "a datagram was received"
            at_ns = call.entry_ns if out else call.exit_ns or call.entry_ns
            yield self._packet((local, far), header, out, at_ns, why, call, item.id, 0, min(size, _LONGEST))

    # -- Unix sockets

    def _unix(self, call: Call, item: Socket) -> Iterator[Implied]:
        role, name = self._text.role(call), self._text.name(call)
        count, _ = moved(call, name)
        peer = self._peer(item.id)
        if role is Role.SEND and call.result is not None and call.result >= 0:
            word, kept, at_ns = f"{count} bytes", call.payload, call.entry_ns
        elif role is Role.RECEIVE and peer is None and count:
            word, kept, at_ns = f"{count} bytes received", call.payload, call.exit_ns or call.entry_ns
        elif role is Role.CONNECT or name == "shutdown":
            word, kept, at_ns, count = self._text.call(call), b"", call.entry_ns, 0
        else:
            return
        own = f"{self._text.process(self._recording.processes.get(call.process))} socket {item.id}"
        other = "unknown"
        if peer is not None and peer in self._recording.sockets:
            process = self._recording.processes.get(self._recording.sockets[peer].process)
            other = f"{self._text.process(process)} socket {peer}"
        elif (address := self._text.address(call.address or item.remote)) is not None:
            other = address
        tags = b"".join(
            _tag(kind, text)
            for kind, text in (
                (_DISSECTOR, "data"), (_PROTOCOL_COLUMN, "Unix"), (_INFO_COLUMN, f"{own} → {other}: {word}"),
            )
        )  # fmt: skip
        head = tags + struct.pack("!HH", 0, 0)
        body = (kept or b"")[:count] if self._text.with_payload else b""
        yield Implied(at_ns, _UPPER_PDU, head + body, len(head) + count, f"Unix: {word}", call, item.id)

    # -- who

    def _stream(self, socket: int) -> _Stream:
        return self._streams.setdefault(socket, _Stream())

    def _peer(self, socket: int) -> int | None:
        found = self._joins.peer(socket)
        return found.socket if found is not None else None

    def _ends(self, item: Socket) -> tuple[End, End] | None:
        local, remote = self._joins.ends(item.id)
        local, remote = local or end_of(item.local), remote or end_of(item.remote)
        return (local, remote) if local is not None and remote is not None and remote.port else None


def _internet(source: End, destination: End) -> wire.IPv4 | wire.IPv6:
    if source.address.startswith(_MAPPED) and destination.address.startswith(_MAPPED):
        return wire.IPv4(
            source=socket.inet_ntoa(source.address[12:]), destination=socket.inet_ntoa(destination.address[12:])
        )
    return wire.IPv6(
        source=socket.inet_ntop(socket.AF_INET6, source.address),
        destination=socket.inet_ntop(socket.AF_INET6, destination.address),
    )


def _same_kind(end: End) -> bytes:
    """The loopback address for one, its any-address for others: what the kernel chose is not known."""
    if end.loopback:
        return end.address
    return _MAPPED + bytes(4) if end.address.startswith(_MAPPED) else bytes(16)


def _sizes(call: Call, messages: int) -> list[int]:
    value = call.value or b""
    return [int.from_bytes(value[at : at + 4], "little") for at in range(0, min(messages * 4, len(value) // 4 * 4), 4)]


def _tag(kind: int, text: str) -> bytes:
    value = text.encode()
    return struct.pack("!HH", kind, len(value) + -len(value) % 4) + value + bytes(-len(value) % 4)
