"""Send a packet and wait for what it brings back.

An answer is matched by what protocols give back: an echo's identifier and sequence number, swapped addresses and ports,
an acknowledgement of the sequence number, an ARP reply for the target, or the packet quoted by an ICMP error.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .._core.wire import Frame
from ..errors import NotPermitted, UsageError
from .capture import Capture
from .craft import ARP, TCP, Ethernet, IPv4, IPv6, Layer, Packet
from .frame import decode
from .inject import Injector, only_interface
from .interfaces import HasSockets, host_or_here, route

__all__ = ["Answer", "answers", "ask", "ask_many"]

_SO_BINDTODEVICE = 25


class Answer(NamedTuple):
    """A packet that was sent, and what came back."""

    packet: Packet
    #: The answer; ``None`` when none came in time.
    frame: Frame | None
    #: Seconds between the two; ``None`` without an answer.
    time_s: float | None


def answers(sent: Frame, received: Frame) -> bool:
    """Whether one frame is an answer to another."""
    if sent.arp is not None:
        reply = received.arp
        return reply is not None and reply.operation == 2 and reply.sender == sent.arp.target
    ip, back = sent.ip, received.ip
    if ip is None or back is None:
        return False
    if (quoted := received.quoted) is not None:
        return _same_packet(sent, quoted)
    if back.protocol != ip.protocol or back.source != ip.destination or back.destination != ip.source:
        # Multicast and broadcast are answered from elsewhere.
        group = ipaddress.ip_address(ip.destination)
        if not (group.is_multicast or ip.destination.endswith(".255")) or back.destination != ip.source:
            return False
    if sent.tcp is not None and received.tcp is not None:
        one, other = sent.tcp, received.tcp
        if (one.source_port, one.destination_port) != (other.destination_port, other.source_port):
            return False
        if not other.flags & 0x10:
            # A reset without an acknowledgement takes its number from what it answers (RFC 9293, 3.10.7.1).
            return bool(other.flags & 0x04) and other.sequence_number == one.acknowledgement_number
        length = len(sent.payload) + bool(one.flags & 0x02) + bool(one.flags & 0x01)
        return (other.acknowledgement_number - one.sequence_number - length) & 0xFFFFFFFF == 0
    if sent.udp is not None and received.udp is not None:
        return (sent.udp.source_port, sent.udp.destination_port) == (
            received.udp.destination_port,
            received.udp.source_port,
        )
    if sent.icmp is not None and received.icmp is not None:
        one_icmp, other_icmp = sent.icmp, received.icmp
        kinds = {(4, 8): 0, (4, 13): 14, (4, 17): 18, (6, 128): 129, (6, 133): 134, (6, 135): 136}
        if kinds.get((one_icmp.version, one_icmp.type)) != other_icmp.type:
            return False
        return one_icmp.type in (133, 135) or one_icmp.rest == other_icmp.rest
    return False


def _same_packet(sent: Frame, quoted: Frame) -> bool:
    """Whether an ICMP error quotes this packet, by what routers leave alone."""
    ip, other = sent.ip, quoted.ip
    if ip is None or other is None or (ip.source, ip.destination) != (other.source, other.destination):
        return False
    if ip.protocol != other.protocol:
        return False
    if sent.tcp is not None and quoted.tcp is not None:
        return (sent.tcp.source_port, sent.tcp.destination_port) == (
            quoted.tcp.source_port,
            quoted.tcp.destination_port,
        ) and (quoted.tcp.present < 8 or quoted.tcp.sequence_number == sent.tcp.sequence_number)
    if sent.udp is not None and quoted.udp is not None:
        return (
            (sent.udp.source_port, sent.udp.destination_port) == (quoted.udp.source_port, quoted.udp.destination_port)
            and (quoted.udp.present < 6 or quoted.udp.length == sent.udp.length)
            # The kernel fills an identification of 0 in.
            and (not ip.identification or ip.identification == other.identification)
        )
    if sent.icmp is not None and quoted.icmp is not None:
        return sent.icmp.rest == quoted.icmp.rest
    return not ip.identification or ip.identification == other.identification


def _with_source(packet: Packet, host: HasSockets | None) -> Packet:
    """The packet with the source address that the host would use, where none was given."""
    for layer in packet.layers:
        if isinstance(layer, (IPv4, IPv6)):
            kind = type(layer)
            if layer.source is None:
                source, _ = route(str(layer.destination), host)
                return packet.replace(kind, source=source)
    return packet


class _Way:
    """How packets go out: whole frames through an interface, or IP packets that the host routes."""

    def __init__(self, interface: str | None, host: HasSockets | None) -> None:
        self._interface = interface
        self._host = host
        self._raw: dict[int, socket.socket] = {}
        self._injector: Injector | None = None

    def check(self, packet: Packet) -> None:
        """Refuse what would leave this machine without an interface having been named.

        Raises:
            UsageError: that, or the packet has no link or network layer in front.

        """
        first = packet.layers[0]
        if isinstance(first, Ethernet):
            if self._interface is None:
                only_interface(self._host)
            return
        if not isinstance(first, (IPv4, IPv6)):
            raise UsageError("a packet starts with Ethernet, IPv4 or IPv6")
        destination = str(first.destination)
        loopback = ipaddress.ip_address(destination).is_loopback
        if self._interface is None and self._host is None and not loopback:
            raise UsageError(f"name the interface to send to {destination} through: nothing is sent unasked")

    def build(self, packet: Packet) -> bytes:
        """The bytes that will be sent; an Ethernet header is completed for the interface."""
        return self._link().as_frame(packet) if isinstance(packet.layers[0], Ethernet) else bytes(packet)

    def _link(self) -> Injector:
        if self._injector is None:
            self._injector = Injector(self._interface, host=self._host)
        return self._injector

    def send(self, packet: Packet, data: bytes) -> None:
        self.check(packet)
        first = packet.layers[0]
        if isinstance(first, Ethernet):
            self._link().send(data)
            return
        assert isinstance(first, (IPv4, IPv6))
        family = socket.AF_INET if isinstance(first, IPv4) else socket.AF_INET6
        destination = str(first.destination)
        sock = self._raw.get(family)
        if sock is None:
            try:
                sock = host_or_here(self._host).socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
            except PermissionError as error:
                raise NotPermitted(
                    "packets of your own making need CAP_NET_RAW: run as root, or use a host of a lab"
                ) from error
            self._raw[family] = sock
            # What the kernel believes of the path's MTU is not asked: packets of one's own making are to find it out
            # (IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: IP_PMTUDISC_PROBE).
            level, name = (socket.IPPROTO_IP, 10) if family == socket.AF_INET else (socket.IPPROTO_IPV6, 23)
            sock.setsockopt(level, name, 3)
            if self._interface is not None:
                sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, self._interface.encode())
        sock.sendto(data, (destination, 0) if family == socket.AF_INET else (destination, 0, 0, 0))

    def close(self) -> None:
        for sock in self._raw.values():
            sock.close()


def ask(
    packet: Layer | Packet,
    timeout_s: float = 1.0,
    *,
    interface: str | None = None,
    host: HasSockets | None = None,
    match: Callable[[Frame, Frame], bool] = answers,
) -> Frame | None:
    """Send one packet; the first frame that answers it, or ``None`` after ``timeout_s``.

    The kernel does not know of the packet: it will, for example, reset a TCP connection that a SYN of yours opens.

    Args:
        packet: from Ethernet or from IP on; the source address is filled in when it is left out.
        timeout_s: how long to wait.
        interface: through which interface; needed outside of a lab unless the packet goes to loopback.
        host: whose network.
        match: what counts as an answer: called with the frame sent and one received.

    Raises:
        NotPermitted: without CAP_NET_RAW.
        UsageError: no interface was named.

    """
    return ask_many([packet], timeout_s, interface=interface, host=host, match=match)[0].frame


def ask_many(
    packets: Iterable[Layer | Packet],
    timeout_s: float = 1.0,
    *,
    interface: str | None = None,
    host: HasSockets | None = None,
    rate_per_s: float | None = None,
    match: Callable[[Frame, Frame], bool] = answers,
) -> list[Answer]:
    """Send many packets and gather the answers; the last packet is waited for ``timeout_s``. As :func:`ask`."""
    way = _Way(interface, host)
    whole = [packet if isinstance(packet, Packet) else Packet((packet,)) for packet in packets]
    for packet in whole:
        way.check(packet)
    chosen = [_with_source(packet, host) for packet in whole]
    built = [way.build(packet) for packet in chosen]
    frames = [decode(data, packet.link_type) for packet, data in zip(chosen, built, strict=True)]
    found: list[Frame | None] = [None] * len(chosen)
    sent_at: list[int] = [0] * len(chosen)
    received_at: list[int] = [0] * len(chosen)
    # Answers by what they share with the question, so that many questions do not make each frame a long search.
    waiting: dict[Any, list[int]] = {}

    def take(frame: Frame) -> None:
        for key in _keys_of_answer(frame) if match is answers else [None]:
            for number in waiting.get(key, ()):
                if found[number] is None and frame.bytes != built[number] and match(frames[number], frame):
                    found[number] = frame
                    received_at[number] = frame.timestamp_ns or 0
                    return

    # "raw" on loopback would show the question itself as well; "in" shows each frame once, as received.
    with Capture(interface, host=host, direction="in", latency_s=0.001) as listener:
        try:
            for number, (packet, data) in enumerate(zip(chosen, built, strict=True)):
                key = _key_of_question(frames[number]) if match is answers else None
                waiting.setdefault(key, []).append(number)
                sent_at[number] = time.time_ns()
                way.send(packet, data)
                if rate_per_s is not None:
                    for frame in listener.read(1 / rate_per_s):
                        take(frame)
            end = time.monotonic() + timeout_s
            while None in found and (left := end - time.monotonic()) > 0:
                for frame in listener.read(left):
                    take(frame)
        finally:
            way.close()
    return [
        Answer(packet, frame, None if frame is None else max(0, received_at[number] - sent_at[number]) / 1e9)
        for number, (packet, frame) in enumerate(zip(chosen, found, strict=True))
    ]


def _key_of_question(frame: Frame) -> Any:
    if frame.arp is not None:
        return ("arp", frame.arp.target)
    if frame.tcp is not None:
        return ("tcp", frame.tcp.source_port, frame.tcp.destination_port)
    if frame.udp is not None:
        return ("udp", frame.udp.source_port, frame.udp.destination_port)
    if frame.icmp is not None:
        return ("icmp", frame.icmp.rest if frame.icmp.type not in (133, 135) else 0)
    return ("ip", frame.protocol)


def _keys_of_answer(frame: Frame) -> list[Any]:
    if frame.arp is not None:
        return [("arp", frame.arp.sender)]
    if (quoted := frame.quoted) is not None:
        return [_key_of_question(quoted)]
    if frame.tcp is not None:
        return [("tcp", frame.tcp.destination_port, frame.tcp.source_port)]
    if frame.udp is not None:
        return [("udp", frame.udp.destination_port, frame.udp.source_port)]
    if frame.icmp is not None:
        return [("icmp", frame.icmp.rest), ("icmp", 0)]
    return [("ip", frame.protocol)]


def arp_question(target: str, sender: str, sender_hardware: str) -> Packet:
    """An ARP request to everyone on the link."""
    return Ethernet(source=sender_hardware) / ARP(1, sender_hardware, sender, target=target)


def syn(destination: str, port: int, *, source_port: int = 40000, sequence_number: int = 0) -> Packet:
    """A TCP SYN as Linux sends it, without a source address."""
    head: Layer = (
        IPv6(destination=destination) if ":" in destination else IPv4(destination=destination, dont_fragment=True)
    )
    options = [("mss", 1460), "sackOK", ("TS", 1, 0), "nop", ("wscale", 7)]
    return head / TCP(source_port, port, sequence_number, flags="S", window=64240, options=options)
