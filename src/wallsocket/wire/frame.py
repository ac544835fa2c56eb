"""One frame: decoding bytes, a hexdump with field names, and the same frame as objects of other libraries."""

from __future__ import annotations

import importlib
from typing import Any

from .. import markup
from .._core.wire import Frame
from ..errors import NotAvailable, UsageError

__all__ = ["Frame", "decode", "fields", "hexdump", "html", "to_dpkt", "to_scapy"]

#: Bytes of a payload that a notebook shows.
_SHOWN = 512
#: LINKTYPE_USER0: bytes that are shown as they are.
_NOT_DECODED = 147

#: LINKTYPE numbers by name (https://www.tcpdump.org/linktypes.html), those that are decoded.
LINK_TYPES: dict[str, int] = {
    "null": 0,
    "ethernet": 1,
    "ppp": 9,
    "ppp_hdlc": 50,
    "ppp_ether": 51,
    "raw": 101,
    "ieee802_11": 105,
    "loop": 108,
    "linux_sll": 113,
    "ieee802_11_prism": 119,
    "ieee802_11_radiotap": 127,
    "ieee802_11_avs": 163,
    "ppi": 192,
    "mpls": 219,
    "can_socketcan": 227,
    "ipv4": 228,
    "ipv6": 229,
    "linux_sll2": 276,
}


def link_type_number(link_type: int | str) -> int:
    """The LINKTYPE number of a name or number.

    Raises:
        UsageError: no such name.

    """
    if isinstance(link_type, int):
        return link_type
    try:
        return LINK_TYPES[link_type.lower()]
    except KeyError:
        raise UsageError(f"no link type {link_type!r}: one of {', '.join(LINK_TYPES)}, or a number") from None


def link_type_of(frame: Any, otherwise: int | None = None) -> int:
    """LINKTYPE of what is to become a frame: its own, if it knows (a crafted packet, a captured frame), else Ethernet."""
    own = getattr(frame, "link_type", None)
    if isinstance(own, int):
        return own
    return 1 if otherwise is None else otherwise


def decode(frame: Any, link_type: int | str | None = None, *, original_length: int | None = None) -> Frame:
    """Decode bytes, or anything that ``bytes()`` takes (a crafted packet, a dpkt object).

    Without ``link_type`` it is the packet's own; bytes, which do not say what they are, are Ethernet. Malformed bytes give
    a frame whose ``problem`` says what does not fit; nothing is raised.
    """
    number = link_type_of(frame) if link_type is None else link_type_number(link_type)
    return Frame(bytes(frame), number, original_length=original_length)


def fields(frame: Frame) -> list[tuple[int, int, str, str]]:
    """The header fields that were decoded, as (offset, length in bytes, name, value)."""
    found: list[tuple[int, int, str, str]] = []

    def add(offset: int, length: int, name: str, value: object) -> None:
        found.append((offset, length, name, str(value)))

    if ethernet := frame.ethernet:
        add(0, 6, "ethernet.destination", ethernet.destination)
        add(6, 6, "ethernet.source", ethernet.source)
        tags = len(frame.vlans)
        for number, vlan in enumerate(frame.vlans):
            add(12 + 4 * number, 4, "vlan", vlan)
        if frame.ether_type is not None:
            add(12 + 4 * tags, 2, "ether_type", f"{frame.ether_type:#06x}")
    if arp := frame.arp:
        add(arp.offset + 6, 2, "arp.operation", arp.operation)
        if arp.sender is not None:
            for at, length, name in (
                (8, 6, "sender_hardware"),
                (14, 4, "sender"),
                (18, 6, "target_hardware"),
                (24, 4, "target"),
            ):
                if (value := getattr(arp, name)) is not None:
                    add(arp.offset + at, length, f"arp.{name}", value)
    if (ip := frame.ip) and ip.version == 4:
        for at, length, name, value in (
            (0, 1, "version_and_header_length", f"4, {ip.header_length}"),
            (1, 1, "traffic_class", ip.traffic_class),
            (2, 2, "length", ip.length),
            (4, 2, "identification", ip.identification),
            (6, 2, "fragment", f"offset {ip.fragment_offset}, DF {ip.dont_fragment:d}, MF {ip.more_fragments:d}"),
            (8, 1, "time_to_live", ip.time_to_live),
            (9, 1, "protocol", ip.next_header),
            (10, 2, "checksum", f"{ip.checksum:#06x} {frame.checksums[0]}"),
            (12, 4, "source", ip.source),
            (16, 4, "destination", ip.destination),
        ):
            add(ip.offset + at, length, f"ip.{name}", value)
        if ip.header_length > 20:
            add(ip.offset + 20, ip.header_length - 20, "ip.options", f"{len(ip.options)} options")
    elif ip:
        for at, length, name, value in (
            (0, 4, "version_class_flow", f"6, {ip.traffic_class}, {ip.flow_label}"),
            (4, 2, "payload_length", ip.length - 40),
            (6, 1, "next_header", ip.next_header),
            (7, 1, "hop_limit", ip.time_to_live),
            (8, 16, "source", ip.source),
            (24, 16, "destination", ip.destination),
        ):
            add(ip.offset + at, length, f"ip.{name}", value)
        if ip.header_length > 40:
            add(ip.offset + 40, ip.header_length - 40, "ip.extension_headers", [number for number, _ in ip.options])
    if tcp := frame.tcp:
        for at, length, name, value in (
            (0, 2, "source_port", tcp.source_port),
            (2, 2, "destination_port", tcp.destination_port),
            (4, 4, "sequence_number", tcp.sequence_number),
            (8, 4, "acknowledgement_number", tcp.acknowledgement_number),
            (12, 2, "header_length_and_flags", f"{tcp.header_length}, {tcp.flags_text}"),
            (14, 2, "window", tcp.window),
            (16, 2, "checksum", f"{tcp.checksum:#06x} {frame.checksums[1]}"),
            (18, 2, "urgent_pointer", tcp.urgent_pointer),
        ):
            if at + length <= tcp.present:
                add(tcp.offset + at, length, f"tcp.{name}", value)
        if tcp.present == 20 and tcp.header_length > 20:
            add(tcp.offset + 20, tcp.header_length - 20, "tcp.options", "")
    if udp := frame.udp:
        for at, name, value in (
            (0, "source_port", udp.source_port),
            (2, "destination_port", udp.destination_port),
            (4, "length", udp.length),
            (6, "checksum", f"{udp.checksum:#06x} {frame.checksums[1]}"),
        ):
            if at + 2 <= udp.present:
                add(udp.offset + at, 2, f"udp.{name}", value)
    if icmp := frame.icmp:
        for at, length, name, value in (
            (0, 1, "type", icmp.type),
            (1, 1, "code", icmp.code),
            (2, 2, "checksum", f"{icmp.checksum:#06x} {frame.checksums[1]}"),
            (4, 4, "rest", f"{icmp.rest:#010x}"),
        ):
            add(icmp.offset + at, length, f"icmp.{name}", value)
    for label in frame.labels:
        said = f"{label.label}, traffic class {label.traffic_class}, bottom {label.bottom:d}, ttl {label.time_to_live}"
        add(label.offset, 4, "mpls.label", said)
    if pppoe := frame.pppoe:
        add(pppoe.offset, 6, "pppoe", f"{pppoe.name}, session {pppoe.session}, length {pppoe.length}")
    if sctp := frame.sctp:
        for at, length, name, value in (
            (0, 2, "source_port", sctp.source_port),
            (2, 2, "destination_port", sctp.destination_port),
            (4, 4, "verification_tag", f"{sctp.verification_tag:#010x}"),
            (8, 4, "checksum", f"{sctp.checksum:#010x} {frame.checksums[1]}"),
        ):
            if at + length <= sctp.present:
                add(sctp.offset + at, length, f"sctp.{name}", value)
    if ipsec := frame.ipsec:
        at = ipsec.offset + (4 if ipsec.kind == "ah" else 0)
        add(at, 4, f"{ipsec.kind}.spi", f"{ipsec.spi:#010x}")
        add(at + 4, 4, f"{ipsec.kind}.sequence_number", ipsec.sequence_number)
    if wireless := frame.wireless:
        if wireless.radio_length:
            add(0, wireless.radio_length, "radio", "" if wireless.signal_dbm is None else f"{wireless.signal_dbm} dBm")
        add(wireless.offset, wireless.header_length, "wireless", wireless.name)
    if can := frame.can:
        add(can.offset, 4, "can.identifier", f"{can.identifier:x}")
        add(can.offset + 4, 1, "can.length", can.length)
    if tunnel := frame.tunnel:
        if tunnel.inner_offset > tunnel.offset:
            said = "" if tunnel.identifier is None else str(tunnel.identifier)
            add(tunnel.offset, tunnel.inner_offset - tunnel.offset, f"tunnel.{tunnel.kind}", said)
        if inner := frame.inner:
            for offset, length, name, value in fields(inner):
                add(tunnel.inner_offset + offset, length, f"inner.{name}", value)
    elif frame.payload:
        add(frame.payload_offset, len(frame.payload), "payload", f"{len(frame.payload)} bytes")
    return [field for field in found if field[0] + field[1] <= len(frame.bytes)]


def hexdump(frame: Frame, *, width: int = 16, names: bool = True) -> str:
    """The bytes of a frame in hexadecimal and ASCII; with ``names`` each header field on lines of its own."""
    lines = [frame.summary()]
    spans = fields(frame) if names else []
    position = 0
    parts: list[tuple[int, int, str]] = []
    for offset, length, name, value in sorted(spans):
        if offset < position:
            continue
        if offset > position:
            parts.append((position, offset, ""))
        parts.append((offset, offset + length, f"{name} {value}".rstrip()))
        position = offset + length
    if position < len(frame.bytes):
        parts.append((position, len(frame.bytes), "" if position == 0 else "padding"))
    for start, end, label in parts:
        for at in range(start, end, width):
            piece = frame.bytes[at : min(at + width, end)]
            shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
            line = f"{at:04x}  {piece.hex(' '):<{3 * width - 1}}  {shown:<{width}}"
            lines.append(f"{line}  {label if at == start else ''}".rstrip())
    return "\n".join(lines)


def html(frame: Frame) -> str:
    """A frame for a notebook, as ``_repr_html_`` gives it: in one line, its fields with their bytes, and the payload."""
    rows = []
    payload = ""
    for offset, length, name, value in fields(frame):
        piece = frame.bytes[offset : offset + length]
        if name == "payload":
            payload = hexdump(Frame(piece[:_SHOWN], _NOT_DECODED), names=False).partition("\n")[2]
            payload += f"\n… {length - _SHOWN} more bytes" if length > _SHOWN else ""
        rows.append((offset, f"{piece[:16].hex(' ')}{' …' if length > 16 else ''}", name, value))
    said = (
        f"<p><code>{markup.escape(frame.summary())}</code></p>{markup.table(('at', 'bytes', 'field', 'value'), rows)}"
    )
    return said + (markup.lines(payload) if payload else "")


def _library(name: str, package: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotAvailable(f"{package} objects need {package}: pip install {extra}") from error


def to_dpkt(frame: Frame) -> Any:
    """The frame as a dpkt object: ``dpkt.ethernet.Ethernet``, ``dpkt.ip.IP`` or ``dpkt.ip6.IP6``.

    Raises:
        NotAvailable: dpkt is not installed.
        UsageError: dpkt cannot unpack these bytes, or has no type for the link type.

    """
    dpkt = _library("dpkt", "dpkt", "'wallsocket[dpkt]'")
    if frame.link_type == 1:
        kind = dpkt.ethernet.Ethernet
    elif frame.link_type == 113:
        kind = dpkt.sll.SLL
    elif frame.ip is not None:
        start = frame.ip.offset
        kind = dpkt.ip.IP if frame.ip.version == 4 else dpkt.ip6.IP6
        return kind(frame.bytes[start:])
    else:
        raise UsageError(f"dpkt has no type for link type {frame.link_type}")
    try:
        return kind(frame.bytes)
    except (dpkt.dpkt.UnpackError, IndexError, ValueError) as error:
        raise UsageError(f"dpkt cannot unpack this frame: {error!r}") from error


def to_scapy(frame: Frame) -> Any:
    """The frame as a scapy packet; scapy must be installed by you, Wallsocket does not bring it.

    Raises:
        NotAvailable: scapy is not installed.

    """
    layers = _library("scapy.layers.all", "scapy", "scapy")
    if frame.link_type == 1:
        return layers.Ether(frame.bytes)
    if frame.link_type == 113:
        return layers.CookedLinux(frame.bytes)
    if frame.ip is not None:
        kind = layers.IP if frame.ip.version == 4 else layers.IPv6
        return kind(frame.bytes[frame.ip.offset :])
    return _library("scapy.packet", "scapy", "scapy").Raw(frame.bytes)
