"""Every field that is decoded, value by value against tshark, over whole folders of captures.

tshark reads only the protocols that are decoded here: all others are switched off in a profile of its own, so each value
that it has and we have not is a difference. Compared is every occurrence of a field, in all packets within a frame.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from wallsocket.wire import Frame, read

Get = Callable[[Frame], list[Any]]


def packets(frame: Frame) -> list[Frame]:
    """The packets within a frame: through tunnels, then those that ICMP errors quote."""
    found: list[Frame] = []
    following: Frame | None = frame
    while following is not None:
        found.append(following)
        following = following.inner or following.quoted
    return found


def of(layer: str, name: str, holds: Callable[[Any], bool] = lambda _: True) -> Get:
    """A field of a layer, where there is one."""

    def get(frame: Frame) -> list[Any]:
        part = getattr(frame, layer)
        value = None if part is None or not holds(part) else getattr(part, name)
        return [] if value is None else [value]

    return get


def tunnel(kinds: str, name: str) -> Get:
    return of("tunnel", name, lambda found: found.kind in kinds.split())


def _4(ip: Any) -> bool:
    return bool(ip.version == 4)


def _6(ip: Any) -> bool:
    return bool(ip.version == 6)


def _tcp(name: str, end: int) -> Get:
    """A field of TCP whose last byte is before ``end``; tshark shows those of whole headers."""
    return of("tcp", name, lambda tcp: tcp.present >= end)


def _icmp(version: int, name: str) -> Get:
    return of("icmp", name, lambda icmp: icmp.version == version)


def _fragment(name: str) -> Get:
    """Of the fragment header of IPv6."""
    return of("ip", name, lambda ip: ip.version == 6 and ip.identification is not None)


def _sack(end: int) -> Get:
    return lambda frame: [block[end] for block in frame.tcp.sack] if frame.tcp else []


def _timestamp(which: int) -> Get:
    return lambda frame: [frame.tcp.timestamps[which]] if frame.tcp and frame.tcp.timestamps else []


#: tshark's field, and the same from a packet of ours.
FIELDS: dict[str, Get] = {
    "eth.src": of("ethernet", "source"),
    "eth.dst": of("ethernet", "destination"),
    "ip.src": of("ip", "source", _4),
    "ip.dst": of("ip", "destination", _4),
    "ip.ttl": of("ip", "time_to_live", _4),
    "ip.proto": of("ip", "next_header", _4),
    "ip.len": of("ip", "length", _4),
    "ip.hdr_len": of("ip", "header_length", _4),
    "ip.id": of("ip", "identification", _4),
    "ip.dsfield": of("ip", "traffic_class", _4),
    "ip.flags.df": of("ip", "dont_fragment", _4),
    "ip.flags.mf": of("ip", "more_fragments", _4),
    "ip.frag_offset": lambda frame: [frame.ip.fragment_offset // 8] if frame.ip and _4(frame.ip) else [],
    "ip.checksum": of("ip", "checksum", _4),
    "ipv6.src": of("ip", "source", _6),
    "ipv6.dst": of("ip", "destination", _6),
    "ipv6.hlim": of("ip", "time_to_live", _6),
    "ipv6.nxt": of("ip", "next_header", _6),
    "ipv6.plen": lambda frame: [frame.ip.length - 40] if frame.ip and _6(frame.ip) else [],
    "ipv6.flow": of("ip", "flow_label", _6),
    "ipv6.tclass": of("ip", "traffic_class", _6),
    "ipv6.fraghdr.ident": _fragment("identification"),
    "ipv6.fraghdr.more": _fragment("more_fragments"),
    "ipv6.fraghdr.offset": lambda frame: [value // 8 for value in _fragment("fragment_offset")(frame)],
    "tcp.srcport": of("tcp", "source_port"),
    "tcp.dstport": of("tcp", "destination_port"),
    "tcp.seq_raw": _tcp("sequence_number", 8),
    "tcp.ack_raw": _tcp("acknowledgement_number", 12),
    "tcp.hdr_len": _tcp("header_length", 13),
    "tcp.flags": _tcp("flags", 14),
    "tcp.window_size_value": _tcp("window", 16),
    "tcp.checksum": _tcp("checksum", 18),
    "tcp.urgent_pointer": _tcp("urgent_pointer", 20),
    "tcp.options.mss_val": of("tcp", "maximum_segment_size"),
    "tcp.options.wscale.shift": of("tcp", "window_scale"),
    "tcp.options.sack_le": _sack(0),
    "tcp.options.sack_re": _sack(1),
    "tcp.options.timestamp.tsval": _timestamp(0),
    "tcp.options.timestamp.tsecr": _timestamp(1),
    "udp.srcport": of("udp", "source_port"),
    "udp.dstport": of("udp", "destination_port"),
    "udp.length": of("udp", "length", lambda udp: udp.present >= 6),
    "udp.checksum": of("udp", "checksum", lambda udp: udp.present == 8),
    "icmp.type": _icmp(4, "type"),
    "icmp.code": _icmp(4, "code"),
    "icmp.checksum": _icmp(4, "checksum"),
    "icmp.ident": _icmp(4, "identifier"),
    "icmp.seq": _icmp(4, "sequence_number"),
    "icmp.mtu": _icmp(4, "next_hop_mtu"),
    "icmpv6.type": _icmp(6, "type"),
    "icmpv6.code": _icmp(6, "code"),
    "icmpv6.checksum": _icmp(6, "checksum"),
    "icmpv6.echo.identifier": _icmp(6, "identifier"),
    "icmpv6.echo.sequence_number": _icmp(6, "sequence_number"),
    "icmpv6.mtu": _icmp(6, "next_hop_mtu"),
    "igmp.type": of("igmp", "type"),
    "arp.opcode": of("arp", "operation"),
    "arp.src.hw_mac": of("arp", "sender_hardware"),
    "arp.src.proto_ipv4": of("arp", "sender"),
    "arp.dst.hw_mac": of("arp", "target_hardware"),
    "arp.dst.proto_ipv4": of("arp", "target"),
    "mpls.label": lambda frame: [label.label for label in frame.labels],
    "mpls.exp": lambda frame: [label.traffic_class for label in frame.labels],
    "mpls.bottom": lambda frame: [label.bottom for label in frame.labels],
    "mpls.ttl": lambda frame: [label.time_to_live for label in frame.labels],
    "pppoe.session_id": of("pppoe", "session"),
    "pppoe.code": of("pppoe", "code"),
    "pppoe.payload_length": of("pppoe", "length"),
    "ppp.protocol": lambda frame: [] if frame.ppp_protocol is None else [frame.ppp_protocol],
    "etag.iecid_base": of("port_tag", "ingress"),
    "etag.ecid_base": of("port_tag", "channel"),
    "gre.flags_and_version": tunnel("gre erspan", "flags"),
    "gre.proto": tunnel("gre erspan", "protocol"),
    "gre.key": of("tunnel", "identifier", lambda found: found.kind == "gre" and not found.flags & 7),
    "gre.key.call_id": of("tunnel", "identifier", lambda found: found.kind == "gre" and found.flags & 7 == 1),
    "gre.sequence_number": tunnel("gre erspan", "sequence_number"),
    "gre.ack_number": tunnel("gre", "acknowledgement_number"),
    "erspan.spanid": tunnel("erspan", "identifier"),
    "vxlan.vni": tunnel("vxlan", "identifier"),
    "geneve.vni": tunnel("geneve", "identifier"),
    "geneve.proto_type": tunnel("geneve", "protocol"),
    "gtp.teid": tunnel("gtp", "identifier"),
    "gtp.message": tunnel("gtp", "protocol"),
    "ieee8021ah.isid": tunnel("802.1ah", "identifier"),
    "sctp.srcport": of("sctp", "source_port"),
    "sctp.dstport": of("sctp", "destination_port"),
    "sctp.verification_tag": of("sctp", "verification_tag", lambda sctp: sctp.present >= 8),
    "sctp.checksum": of("sctp", "checksum", lambda sctp: sctp.present == 12),
    "sctp.chunk_type": lambda frame: [kind for kind, _, _ in frame.sctp.chunks] if frame.sctp else [],
    "esp.spi": of("ipsec", "spi", lambda ipsec: ipsec.kind == "esp"),
    "esp.sequence": of("ipsec", "sequence_number", lambda ipsec: ipsec.kind == "esp"),
    "ah.spi": of("ipsec", "spi", lambda ipsec: ipsec.kind == "ah"),
    "ah.sequence": of("ipsec", "sequence_number", lambda ipsec: ipsec.kind == "ah"),
    "wlan.fc.type_subtype": lambda frame: [frame.wireless.type << 4 | frame.wireless.subtype] if frame.wireless else [],
    "wlan.ra": of("wireless", "receiver"),
    # tshark has no transmitter in the end of a period without contention.
    "wlan.ta": of("wireless", "transmitter", lambda wireless: (wireless.type, wireless.subtype & 14) != (1, 14)),
    "wlan.da": of("wireless", "destination"),
    "wlan.sa": of("wireless", "source"),
    "wlan.bssid": of("wireless", "cell"),
    "wlan.seq": of("wireless", "sequence_number"),
    "radiotap.length": lambda frame: of("wireless", "radio_length")(frame) if frame.link_type == 127 else [],
    "radiotap.dbm_antsignal": of("wireless", "signal_dbm"),
    "radiotap.channel.freq": of("wireless", "channel_mhz"),
    "can.id": of("can", "identifier", lambda can: not can.error),
    "can.len": of("can", "length"),
}

#: Once for each frame: what the capture says of it, and what stands in front of the first network layer.
OUTER: dict[str, Callable[[Frame], Any]] = {
    "frame.number": lambda frame: frame.number,
    "frame.len": lambda frame: frame.original_length,
    "frame.cap_len": lambda frame: len(frame.bytes),
}

#: Verdicts on checksums: only where both sides have one.
CHECKSUMS = ("ip.checksum.status", "tcp.checksum.status", "udp.checksum.status", "icmp.checksum.status",
             "icmpv6.checksum.status", "sctp.checksum.status")  # fmt: skip

#: What tshark is to read: the protocols that are decoded here.
_READ = re.compile(
    r"frame|eth|ethertype|vlan|ieee8021ad|ieee8021ah|etag|sll|null|raw|llc|ip|ipv6(\..*)?|tcp|udp|icmp|icmpv6|igmp|arp|data"
    r"|mpls|pwethcw|pwethnocw|pwethheuristic|ppp|pppoe|pppoes|pppoed|ppp_hdlc|chdlc|gre|erspan|vxlan|geneve|gtp|etherip|teredo"
    r"|sctp|esp|udpencap|ah|wlan|wlan_radio|radiotap|prism|wlancap|ppi|can|canfd|_ws\..*|ip\.options.*|tcp\.options.*|sctp.*|geneve.*"
)

_OPTIONS = {
    "ip.defragment": "FALSE",
    "ipv6.defragment": "FALSE",
    "tcp.desegment_tcp_streams": "FALSE",
    "tcp.analyze_sequence_numbers": "FALSE",
    "ip.tso_support": "TRUE",
    "sctp.reassembly": "FALSE",
    "sctp.checksum": "CRC32C",
    "ip.check_checksum": "TRUE",
    "tcp.check_checksum": "TRUE",
    "udp.check_checksum": "TRUE",
}


def profile(folder: Path) -> Path:
    """A configuration of tshark with nothing but our protocols."""
    listed = subprocess.run(["tshark", "-G", "protocols"], capture_output=True, text=True, check=True)
    names = [line.split("\t")[2] for line in listed.stdout.splitlines()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "disabled_protos").write_text("".join(f"{name}\n" for name in names if not _READ.fullmatch(name)))
    return folder


class Row(NamedTuple):
    interface: int
    protocols: str
    values: list[list[Any]]


def as_value(text: str) -> Any:
    """A value as tshark prints it."""
    if text in ("True", "False"):
        return text == "True"
    try:
        return int(text, 0)
    except ValueError:
        return text


def by_tshark(path: Path, names: list[str], configuration: Path) -> Iterator[Row]:
    """Of each frame the protocols, and the values of these fields."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]
    command += ["-E", "aggregator=|", "-e", "frame.interface_id", "-e", "frame.protocols"]
    for option, value in _OPTIONS.items():
        command += ["-o", f"{option}:{value}"]
    # Linux' own port of VXLAN, which tshark gives to another protocol.
    command += ["-d", "udp.port==8472,vxlan"]
    for name in names:
        command += ["-e", name]
    environment = os.environ | {"WIRESHARK_CONFIG_DIR": str(configuration)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace", env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            interface, protocols, *cells = line.rstrip("\n").split("\t")
            values = [[as_value(part) for part in cell.split("|")] if cell else [] for cell in cells]
            yield Row(int(interface or 0), protocols, values)


class Difference(NamedTuple):
    path: str
    number: int
    field: str
    ours: Any
    theirs: Any
    protocols: str
    problem: str | None
    notes: frozenset[str]


def _notes(within: list[Frame]) -> frozenset[str]:
    """What is unusual in a frame, in words of :data:`EXPLAINED`."""
    found = set()
    for packet in within:
        ip, udp, arp, tunnel = packet.ip, packet.udp, packet.arp, packet.tunnel
        if ip is not None and ip.version == 4 and ip.header_length > 20:
            found.add("IPv4 options")
        if ip is not None and ip.length in (0, 40):
            found.add("offloaded")
        if ip is not None and (ip.fragment_offset or ip.more_fragments):
            found.add("fragment")
        if udp is not None and udp.source_port in (4754, 4789, 8472, 4790, 6081):
            found.add("from a tunnel's port")
        if udp is not None and {udp.source_port, udp.destination_port} & {2123, 3386}:
            found.add("control port of GTP")
        if udp is not None and udp.destination_port == 4790 and tunnel is not None and not tunnel.flags & 4:
            found.add("next protocol does not count")
        if arp is not None and arp.sender is None:
            found.add("other addresses in ARP")
        if packet.link_type in (9, 50) and packet.bytes[:1] == b"\xff" and packet.bytes[1:2] != b"\x03":
            found.add("other control byte of PPP")
    return frozenset(found)


_VERDICT = {"good": 1, "bad": 0}


def _verdict(name: str, within: list[Frame]) -> list[Any]:
    layer = name.split(".")[0]
    found = []
    for packet in within:
        network, transport = packet.checksums
        if layer == "ip":
            if packet.ip and packet.ip.version == 4:
                found.append(network)
        elif layer in ("icmp", "icmpv6"):
            if packet.icmp and packet.icmp.version == (4 if layer == "icmp" else 6):
                found.append(transport)
        elif getattr(packet, layer):
            found.append(transport)
    return found


#: The addresses within 802.1ah, which tshark gives fields of their own.
CUSTOMER = {"ieee8021ah.csrc": "eth.src", "ieee8021ah.cdst": "eth.dst"}
_NAMES = list(FIELDS)
ASKED = [*OUTER, *CHECKSUMS, *CUSTOMER, *_NAMES]


def compare(path: Path, rows: Iterator[Row] | list[Row]) -> tuple[int, list[Difference], Counter[str]]:
    """Values compared, those that differ, and how many there were of each field."""
    count = 0
    found: list[Difference] = []
    seen: Counter[str] = Counter()
    with read(path) as reader:
        for frame, row in zip(reader, rows, strict=False):
            within = packets(frame)
            values = dict(zip(ASKED, row.values, strict=True))
            for name, field in CUSTOMER.items():
                values[field] = values[field] + values.pop(name)
            problem = next((packet.problem for packet in within if packet.problem), None)
            other_values: list[tuple[str, Any, Any]] = []
            for name, once in OUTER.items():
                if name == "frame.number":
                    continue
                count += 1
                ours = once(frame)
                if values[name] != [ours]:
                    other_values.append((name, [ours], values[name]))
            for name in CHECKSUMS:
                theirs = values[name]
                verdicts = _verdict(name, within)
                for ours, other in zip(verdicts, theirs, strict=False):
                    if other in (0, 1) and ours in _VERDICT:
                        count += 1
                        if _VERDICT[ours] != other:
                            other_values.append((name, verdicts, theirs))
                            break
            for name, get in FIELDS.items():
                theirs = values[name]
                mine = [value for packet in within for value in get(packet)]
                if mine or theirs:
                    count += max(len(mine), len(theirs))
                    seen[name] += len(mine)
                    if mine != theirs:
                        other_values.append((name, mine, theirs))
            if other_values:
                notes = _notes(within)
                found += [
                    Difference(path.name, frame.number, *each, row.protocols, problem, notes) for each in other_values
                ]
    return count, found, seen


def _beginning(difference: Difference) -> bool:
    """Both sides agree as far as both have values."""
    return all(ours == theirs for ours, theirs in zip(difference.ours, difference.theirs, strict=False))


def _layers(difference: Difference) -> list[str]:
    return difference.protocols.split(":")


#: Why tshark may say something else: name, reason, and what recognises it. Everything else is a fault of one of the two.
EXPLAINED: list[tuple[str, str, Callable[[Difference], bool]]] = [
    (
        "cut or wrong header",
        "of a header that is cut or whose length is wrong tshark shows other fields, or none; a version that does not fit is gone "
        "after there",
        lambda difference: difference.problem is not None and _beginning(difference),
    ),
    (
        "quoted",
        "of a TCP header that an ICMP error quotes tshark shows the ports",
        lambda difference: (
            difference.field.startswith("tcp.")
            and bool({"icmp", "icmpv6"} & set(_layers(difference)))
            and len(difference.theirs) < len(difference.ours)
            and _beginning(difference)
        ),
    ),
    (
        "fragment headers",
        "of several fragment headers the last counts here, and behind IPv4 none",
        lambda difference: (
            difference.field.startswith("ipv6.fraghdr.")
            and (difference.theirs[-1:] == difference.ours or (not difference.ours and "ip" in _layers(difference)))
        ),
    ),
    (
        "IPv4 options",
        "tshark stops at an option that is too short, and takes the last address of a source route for the destination",
        lambda difference: (
            "IPv4 options" in difference.notes
            and (
                difference.field == "ip.dst"
                or (len(difference.theirs) < len(difference.ours) and _beginning(difference))
            )
        ),
    ),
    (
        "several antennas",
        "the first signal counts here",
        lambda difference: difference.field == "radiotap.dbm_antsignal" and difference.theirs[:1] == difference.ours,
    ),
    (
        "ESP behind AH",
        "the outer of the two counts here",
        lambda difference: difference.field.startswith("esp.") and not difference.ours and "ah" in _layers(difference),
    ),
    (
        "tunnel of a fragment",
        "tshark enters the beginning of a packet; here a fragment is not entered",
        lambda difference: "fragment" in difference.notes and _beginning(difference),
    ),
    (
        "tunnel by its source port",
        "tshark looks at either port",
        lambda difference: "from a tunnel's port" in difference.notes and _beginning(difference),
    ),
    (
        "next protocol of VXLAN",
        "tshark does not look at the bit that says whether it counts (draft-ietf-nvo3-vxlan-gpe, 3.1)",
        lambda difference: "next protocol does not count" in difference.notes,
    ),
    (
        "control plane of GTP",
        "only the user plane is decoded here",
        lambda difference: (
            difference.field.startswith("gtp.")
            and ("control port of GTP" in difference.notes or "tcp:gtp" in difference.protocols)
        ),
    ),
    (
        "addresses in ARP",
        "given only where they are Ethernet's and IPv4's",
        lambda difference: difference.field.startswith("arp.") and "other addresses in ARP" in difference.notes,
    ),
    (
        "ATM ARP",
        "tshark gives the operation of ATM address resolution a field of its own",
        lambda difference: difference.field == "arp.opcode" and "atmarp" in _layers(difference),
    ),
    (
        "offloaded",
        "a length of 0 means the whole frame here, also in IPv6 and in tunnels; tshark shows the length that it works out",
        lambda difference: (
            "offloaded" in difference.notes
            and (_beginning(difference) or (difference.field == "ip.len" and 0 in difference.ours))
        ),
    ),
    (
        "control byte of PPP",
        "tshark takes any byte behind ff for it; only 03 is one (RFC 1662, 3.1)",
        lambda difference: difference.field == "ppp.protocol" and "other control byte of PPP" in difference.notes,
    ),
    (
        "several packets in one frame",
        "an 802.11 frame with several is not entered here",
        lambda difference: (
            "wlan" in _layers(difference) and _layers(difference).count("llc") > 1 and _beginning(difference)
        ),
    ),
    (
        "header of ATM",
        "tshark takes it off the frame",
        lambda difference: (
            difference.field in ("frame.len", "frame.cap_len") and "link type 123 " in (difference.problem or "")
        ),
    ),
    (
        "impossible lengths",
        "tshark's lengths end at 2^31 - 1",
        lambda difference: difference.field == "frame.len" and difference.theirs == [2**31 - 1],
    ),
    (
        "ISL",
        "tshark enters Cisco's ISL encapsulation (destination 01:00:0c:00:00) and gives the addresses inside",
        lambda difference: difference.protocols.startswith("eth:eth:"),
    ),
]


def explained(difference: Difference) -> str | None:
    """The name of the first explanation that holds."""
    return next((name for name, _, holds in EXPLAINED if holds(difference)), None)
