"""Tunnels, labels, sessions, radio headers and what payloads say, value by value against tshark.

Compared is every occurrence of a field: tshark gives those of all packets within a frame, as :func:`packets` does. The frames are
made here, and those of Debian's tcpdump source package.
"""

from __future__ import annotations

import hmac
import random
import struct
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.wire.against_tshark import CUSTOMER, as_value, of, packets
from tests.wire.against_tshark import FIELDS as EVERY
from tests.wire.test_tshark import CAPTURES, tshark
from wallsocket.wire import TCP, UDP, Ethernet, ICMPv6, IPv4, IPv6, read
from wallsocket.wire.pcap import write

#: What is compared; the getters are those of the long comparison.
_COMPARED = """
    eth.src eth.dst ip.src ip.dst ip.ttl ip.proto ip.len ip.id ipv6.src ipv6.dst ipv6.hlim ipv6.nxt tcp.srcport
    tcp.dstport tcp.seq_raw udp.srcport udp.dstport udp.length icmp.type icmpv6.type arp.opcode mpls.label
    mpls.exp mpls.bottom mpls.ttl pppoe.session_id pppoe.code pppoe.payload_length ppp.protocol etag.iecid_base
    etag.ecid_base gre.flags_and_version gre.proto gre.key gre.key.call_id gre.sequence_number gre.ack_number
    erspan.spanid vxlan.vni geneve.vni geneve.proto_type gtp.teid gtp.message ieee8021ah.isid sctp.srcport
    sctp.dstport sctp.verification_tag sctp.checksum sctp.chunk_type esp.spi esp.sequence ah.spi ah.sequence
    wlan.fc.type_subtype wlan.ra wlan.ta wlan.da wlan.sa wlan.bssid wlan.seq radiotap.length
    radiotap.dbm_antsignal radiotap.channel.freq can.id can.len
""".split()
FIELDS = {name: EVERY[name] for name in _COMPARED} | {"radiotap.length": of("wireless", "radio_length")}

_OPTIONS = [
    "ip.defragment",
    "ipv6.defragment",
    "tcp.desegment_tcp_streams",
    "tcp.analyze_sequence_numbers",
    "sctp.reassembly",
]


def by_tshark(path: Path, names: list[str]) -> list[tuple[str, list[list[Any]]]]:
    """Of each frame the protocols, and the values of these fields."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]
    command += ["-E", "aggregator=|", "-e", "frame.protocols"]
    for option in _OPTIONS:
        command += ["-o", f"{option}:FALSE"]
    for name in names:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, errors="replace")
    rows = []
    for line in done.stdout.splitlines():
        protocols, *cells = line.split("\t")
        rows.append((protocols, [[as_value(part) for part in cell.split("|")] if cell else [] for cell in cells]))
    return rows


class Difference(NamedTuple):
    path: str
    number: int
    field: str
    ours: list[Any]
    theirs: list[Any]
    protocols: str
    problem: str | None


def compare(path: Path) -> tuple[int, list[Difference]]:
    """Values compared, and those that differ."""
    count = 0
    found = []
    names = list(FIELDS)
    for frame, (protocols, row) in zip(read(path), by_tshark(path, [*names, *CUSTOMER]), strict=True):
        within = packets(frame)
        customer = row[len(names) :]
        row = row[: len(names)]
        for name, values in zip(CUSTOMER.values(), customer, strict=True):
            row[names.index(name)] += values
        for (name, get), theirs in zip(FIELDS.items(), row, strict=True):
            ours = [value for packet in within for value in get(packet)]
            count += max(len(ours), len(theirs))
            if ours != theirs:
                found.append(Difference(path.name, frame.number, name, ours, theirs, protocols, frame.problem))
    return count, found


def mpls(label: int, bottom: bool = True, traffic_class: int = 0, time_to_live: int = 64) -> bytes:
    return struct.pack("!I", label << 12 | traffic_class << 9 | bottom << 8 | time_to_live)


def ethernet(ether_type: int, data: bytes, last: int = 1) -> bytes:
    return bytes([2, 0, 0, 0, 0, last, 2, 0, 0, 0, 0, 9]) + struct.pack("!H", ether_type) + data


def carried(seed: int) -> dict[str, tuple[int, list[bytes]]]:
    """Frames with every header that this file is about, by link type."""
    dice = random.Random(seed)

    def inside(version: int) -> bytes:
        ends = (
            (f"10.1.{dice.randrange(256)}.1", "10.2.0.2")
            if version == 4
            else (f"fd00::{dice.randrange(1, 9999):x}", "fd00::1")
        )
        head: Any = (IPv4 if version == 4 else IPv6)(*ends, dice.randrange(1, 256))
        upper: Any = dice.choice([UDP(dice.randrange(50000, 60000), 50001), TCP(50000, 50001, dice.getrandbits(32))])
        return bytes(head / upper / dice.randbytes(dice.randrange(40)))

    def outer(protocol: int, data: bytes) -> bytes:
        if dice.random() < 0.5:
            return bytes(Ethernet() / IPv4("192.0.2.1", "192.0.2.2", protocol=protocol) / data)
        return bytes(Ethernet() / IPv6("2001:db8::1", "2001:db8::2", next_header=protocol) / data)

    def over_udp(port: int, data: bytes) -> bytes:
        head: Any = dice.choice([IPv4("192.0.2.1", "192.0.2.2"), IPv6("2001:db8::1", "2001:db8::2")])
        return bytes(Ethernet() / head / UDP(dice.randrange(50000, 60000), port) / data)

    def packet_type(version: int) -> bytes:
        return b"\x08\0" if version == 4 else b"\x86\xdd"

    def whole() -> bytes:
        version = dice.choice([4, 6])
        return ethernet(0x0800 if version == 4 else 0x86DD, inside(version))

    frames: list[bytes] = []
    for _ in range(20):
        version = dice.choice([4, 6])
        ether_type, packet = (0x0800 if version == 4 else 0x86DD), inside(version)
        key, number, acknowledged = dice.getrandbits(32), dice.getrandbits(32), dice.getrandbits(32)
        network = struct.pack("!I", dice.getrandbits(24) << 8)
        # tshark takes for Ethernet what has addresses of makers that it knows.
        known = b"\0\x50\x56\0\0\1\0\x50\x56\0\0\2" + whole()[12:]
        # Tunnels.
        frames.append(outer(4 if version == 4 else 41, packet))
        frames.append(outer(47, struct.pack("!HH", 0, ether_type) + packet))
        frames.append(outer(47, struct.pack("!HHII", 0x3000, ether_type, key, number) + packet))
        frames.append(outer(47, struct.pack("!HHHHI", 0xA000, 0x6558, 0, 0, key) + whole()))
        frames.append(
            outer(47, struct.pack("!HH", 0, 0x8847) + mpls(16, False) + mpls(dice.randrange(20, 1 << 20)) + packet)
        )
        ppp = b"\xff\x03" + struct.pack("!H", 0x21 if version == 4 else 0x57) + packet
        frames.append(outer(47, struct.pack("!HHHHII", 0x3081, 0x880B, len(ppp), 7, number, acknowledged) + ppp))
        session = dice.randrange(1024)
        frames.append(outer(47, struct.pack("!HHIHHI", 0x1000, 0x88BE, number, 0x1001, session, 5) + whole()))
        for kind, mirrored in ((0, whole()), (7, whole())):
            third = struct.pack("!HHIHH", 0x2001, session, number, 0, kind << 10)
            frames.append(outer(47, struct.pack("!HHI", 0x1000, 0x22EB, number) + third + mirrored))
        frames.append(over_udp(4789, b"\x08\0\0\0" + network + whole()))
        options = dice.randbytes(4 * dice.randrange(2)) and struct.pack("!HBB", 0x0102, 0x80, 0)
        head = bytes([len(options) // 4, 0]) + struct.pack("!H", 0x6558) + network + options
        frames.append(over_udp(6081, head + whole()))
        frames.append(over_udp(2152, struct.pack("!BBHI", 0x30, 255, len(packet), key) + packet))
        extended = struct.pack("!HBB", number & 0xFFFF, 0, 0x85) + b"\x01\x10\x05\0"
        frames.append(over_udp(2152, struct.pack("!BBHI", 0x36, 255, len(packet) + 8, key) + extended + packet))
        frames.append(over_udp(2152, struct.pack("!BBHIHBB", 0x32, 1, 4, 0, number & 0xFFFF, 0, 0)))
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, dice.choice([1, 2])) + dice.randbytes(20)
        frames.append(outer(47, struct.pack("!HH", 0, 0x0806) + arp))
        frames.append(over_udp(6081, b"\0\0\x08\x06" + network + arp))
        frames.append(over_udp(4754, struct.pack("!HHI", 0x2000, ether_type, key) + packet))
        air = bytes([8, 2, 0, 0]) + dice.randbytes(18) + b"\x10\0\xaa\xaa\x03\0\0\0"
        frames.append(
            outer(47, struct.pack("!HH", 0, 0x8200 + 16 * dice.randrange(24)) + air + packet_type(version) + packet)
        )
        about = bytes(8) + inside(6).ljust(88, b"\0")
        redirect = dice.randbytes(32) + bytes([2, 1]) + dice.randbytes(6) + bytes([4, len(about) // 8]) + about[2:]
        frames.append(bytes(Ethernet() / IPv6("fe80::1", "fe80::2", hop_limit=255) / ICMPv6(137) / redirect))
        frames.append(outer(137, mpls(dice.randrange(20, 1 << 20)) + packet))
        frames.append(outer(97, b"\x30\0" + whole()))
        frames.append(over_udp(4789, b"\x08\0\0\0" + network + outer(47, struct.pack("!HH", 0, ether_type) + packet)))
        frames.append(ethernet(0x88E7, struct.pack("!I", dice.getrandbits(24)) + whole(), 3))
        # Between link and network layer.
        labels = b"".join(
            mpls(dice.randrange(20, 1 << 20), False, dice.randrange(8), dice.randrange(256)) for _ in range(3)
        )
        frames.append(ethernet(0x8847, labels + mpls(1000) + packet))
        frames.append(ethernet(0x8847, mpls(16, False) + mpls(1001) + bytes(4) + known))
        protocol = struct.pack("!H", 0x21 if version == 4 else 0x57)
        frames.append(
            ethernet(0x8864, struct.pack("!BBHH", 0x11, 0, dice.getrandbits(16), len(packet) + 2) + protocol + packet)
        )
        frames.append(
            ethernet(0x8863, struct.pack("!BBHHHH", 0x11, dice.choice([9, 0xA7]), dice.getrandbits(16), 4, 0x0101, 0))
        )
        frames.append(ethernet(0x8864, struct.pack("!BBHHHBBH", 0x11, 0, 5, 10, 0xC021, 9, 1, 8) + bytes(4)))
        tag = struct.pack("!HHBB", 0x2000 | dice.getrandbits(12), dice.getrandbits(12), 0, 0)
        frames.append(ethernet(0x893F, tag + struct.pack("!H", ether_type) + packet))
        # Transports.
        chunk = struct.pack("!BBHIHHI", 0, 3, 20, number, 1, 2, 0) + b"data"
        frames.append(
            outer(132, struct.pack("!HHII", 50000, 50001, key, number) + chunk + struct.pack("!BBH", 11, 0, 4))
        )
        frames.append(outer(50, struct.pack("!II", key | 0x100, number) + dice.randbytes(40)))
        ah = struct.pack("!BBHII", 17, 4, 0, key, number) + bytes(12)
        frames.append(outer(51, ah + bytes(UDP(50000, 50001) / b"xy")))

    def data(flags: int, body: bytes, subtype: int = 0) -> bytes:
        fourth = bytes([2, 0, 0, 0, 0, 4]) if flags & 3 == 3 else b""
        quality = b"\0\0" if subtype & 8 else b""
        ends = bytes([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3])
        number = struct.pack("<H", dice.randrange(4096) << 4)
        return bytes([subtype << 4 | 8, flags, 0, 0]) + ends + number + fourth + quality + body

    air = [data(flags, b"\xaa\xaa\x03\0\0\0\x08\0" + inside(4), subtype) for flags in range(4) for subtype in (0, 8)]
    air += [data(0x41, bytes(30)), data(0, b"", 4)]
    air += [
        bytes([kind << 4 | 4, 0, 0, 0]) + bytes(range(6 if kind in (12, 13) else 12))
        for kind in (8, 10, 11, 12, 13, 14)
    ]
    beacon = (
        bytes([0x80, 0, 0, 0]) + b"\xff" * 6 + bytes(range(12)) + b"\x10\0" + bytes(8) + b"\x64\0\x01\0" + b"\0\x01x"
    )
    air.append(beacon)
    radio = struct.pack("<BBHIBBHHbb", 0, 0, 16, 0b101110, 0, 12, 2437, 0xA0, -40 - dice.randrange(20), 0)
    chained = struct.pack("<BBHIIBBHHbb", 0, 0, 20, 0x8000002E, 0, 0, 12, 5180, 0x140, -71, 0)
    can = [
        struct.pack("!IBBBB", 0x123, 3, 0, 0, 0) + b"abc",
        struct.pack("!IBBBB", 0x80000000 | 0x1ABCDEF, 8, 0, 0, 0) + bytes(8),
        struct.pack("!IBBBB", 0x40000000 | 0x7F, 4, 0, 0, 0),
        struct.pack("!IBBBB", 0x456, 12, 4, 0, 0) + bytes(12),
    ]
    cooked = [struct.pack("!HHH8sH", 1, 280, 0, bytes(8), 0x0C) + struct.pack("<IBBBB", 0x123, 1, 0, 0, 0) + b"x"]
    return {
        "ethernet": (1, frames),
        "wireless": (105, air),
        "radiotap": (127, [head + frame for frame in air for head in (radio, chained)]),
        "can": (227, can),
        "cooked": (113, cooked),
        "ppp": (
            9,
            [
                b"\x0f\0\x08\0" + inside(4),
                b"\xff\x03\0\x21" + inside(4),
                b"\x21" + inside(4),
                b"\xff\x03\x02\x81" + mpls(30) + inside(4),
            ],
        ),
        "hdlc": (
            104,
            [
                b"\x0f\0\x08\0" + inside(4),
                b"\x8f\0\x88\x47" + mpls(30) + inside(6),
                b"\x02\x5d\x08\0" + inside(4),
                b"\x30\x30\x30\x30" + bytes(8),
            ],
        ),
    }


@tshark
@pytest.mark.parametrize("name", sorted(carried(0)))
def test_generated_frames(tmp_path, name):
    link_type, frames = carried(seed=13)[name]
    path = tmp_path / "a.pcap"
    write(path, frames, link_type=link_type)
    count, differences = compare(path)
    assert differences == []
    assert count >= 2 * len(frames)


def quic_initial(version: int, hello: bytes, *, pieces: int = 1) -> bytes:
    """A client's Initial packet (RFC 9001, 5; RFC 9369) around a handshake message, cut into CRYPTO frames in reverse order."""
    aes = pytest.importorskip("cryptography.hazmat.primitives.ciphers")
    aead = pytest.importorskip("cryptography.hazmat.primitives.ciphers.aead")
    salt = {
        1: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
        0x6B3343CF: "0dede3def700a6db819381be6e269dcbf9bd2ed9",
    }[version]

    def expand(secret: bytes, label: str, length: int) -> bytes:
        text = b"tls13 " + label.encode()
        information = struct.pack("!HB", length, len(text)) + text + b"\0\1"
        return hmac.digest(secret, information, "sha256")[:length]

    identifier = bytes(range(8))
    client = expand(hmac.digest(bytes.fromhex(salt), identifier, "sha256"), "client in", 32)
    prefix = "quic" if version == 1 else "quicv2"
    key, nonce, protection = (
        expand(client, f"{prefix} {label}", n) for label, n in (("key", 16), ("iv", 12), ("hp", 16))
    )
    size = -(-len(hello) // pieces)
    frames = b""
    for at in reversed(range(0, len(hello), size)):
        part = hello[at : at + size]
        frames += b"\6" + struct.pack("!HH", 0x4000 | at, 0x4000 | len(part)) + part
    frames = frames.ljust(1100, b"\0")
    first = 0xC0 | (0 if version == 1 else 0x10) | 3
    head = (
        struct.pack("!BIB", first, version, 8)
        + identifier
        + b"\0\0"
        + struct.pack("!H", 0x4000 | (4 + len(frames) + 16))
    )
    number = bytes(4)
    sealed = aead.AESGCM(key).encrypt(nonce, frames, head + number)
    encryptor = aes.Cipher(aes.algorithms.AES(protection), aes.modes.ECB()).encryptor()
    mask = encryptor.update(sealed[:16])
    hidden = bytes(byte ^ bits for byte, bits in zip(number, mask[1:5], strict=True))
    return bytes([head[0] ^ mask[0] & 0x0F]) + head[1:] + hidden + sealed


def client_hello(name: bytes) -> bytes:
    server_name = struct.pack("!HHBH", len(name) + 5, len(name) + 3, 0, len(name)) + name
    extensions = b"\0\0" + server_name + b"\0\x10\0\5\0\3\2h3" + b"\0\x2b\0\3\2\3\4"
    body = b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0" + struct.pack("!H", len(extensions)) + extensions
    return b"\1" + len(body).to_bytes(3, "big") + body


def netbios(name: str, service: int) -> bytes:
    letters = name.upper().ljust(15).encode() + bytes([service])
    return b"\x20" + b"".join(bytes([65 + (byte >> 4), 65 + (byte & 15)]) for byte in letters) + b"\0"


def _question(name: bytes, kind: int = 1) -> bytes:
    return struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + name + struct.pack("!HH", kind, 1)


_NAME = b"\4desk\5local\0"
_SMB2 = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ16s", 64, 0, 0, 5, 1, 0, 0, 1, 0, 0, 0, bytes(16))
#: What a payload is called here, and tshark's field with a part of that name.
SAID: list[tuple[Any, bytes | Callable[[], bytes], str, str]] = [
    (UDP(50000, 443), lambda: quic_initial(1, client_hello(b"a.example")), "QUIC version 1 initial, server name {}, ALPN h3",
     "tls.handshake.extensions_server_name"),
    (UDP(50000, 443), lambda: quic_initial(1, client_hello(b"b.example"), pieces=3),
     "QUIC version 1 initial, server name {}, ALPN h3", "tls.handshake.extensions_server_name"),
    (UDP(50000, 443), lambda: quic_initial(1, client_hello(b"c.example")),
     "QUIC version {} initial, server name c.example, ALPN h3", "quic.version"),
    (UDP(50000, 5353), _question(_NAME), "mDNS 7 A? {}.", "dns.qry.name"),
    (UDP(50000, 5355), _question(b"\4desk\0", 28), "LLMNR 7 AAAA? {}.", "dns.qry.name"),
    (UDP(137, 137), _question(netbios("server", 0x20), 32), "NetBIOS 7 NB? {}", "nbns.name"),
    (UDP(5060, 5060), b"INVITE sip:b@b.example SIP/2.0\r\nCall-ID: 1\r\n\r\n", "SIP: {} sip:b@b.example SIP/2.0", "sip.Method"),
    (UDP(5060, 5060), b"SIP/2.0 180 Ringing\r\nCall-ID: 1\r\n\r\n", "SIP: SIP/2.0 {} Ringing", "sip.Status-Code"),
    (TCP(50000, 22, flags="P."), b"SSH-2.0-OpenSSH_9.2\r\n", "SSH: {}", "ssh.protocol"),
    (TCP(50000, 80, flags="P."), b"PROPFIND /a HTTP/1.1\r\nHost: b\r\n\r\n", "HTTP: {} /a HTTP/1.1", "http.request.method"),
    (TCP(50000, 80, flags="P."), b"MKCOL /a HTTP/1.1\r\nHost: b\r\n\r\n", "HTTP: {} /a HTTP/1.1", "http.request.method"),
    (UDP(50000, 1900), b"M-SEARCH * HTTP/1.1\r\nHost: b\r\n\r\n", "HTTP: {} * HTTP/1.1", "http.request.method"),
    (TCP(50000, 445, flags="P."), b"\0\0\0\x40" + _SMB2, "SMB2 create request", "smb2.cmd"),
]  # fmt: skip


@tshark
@pytest.mark.parametrize("number", range(len(SAID)))
def test_what_payloads_say(tmp_path, number):
    upper, payload, expected, field = SAID[number]
    data = payload() if callable(payload) else payload
    path = tmp_path / "a.pcap"
    write(path, [Ethernet() / IPv4("192.0.2.1", "192.0.2.2") / upper / data])
    ((_, [[theirs, *_]]),) = by_tshark(path, [field])
    (frame,) = read(path)
    assert frame.application == expected.format(str(theirs).split(" (")[0])


def _all(difference: Difference) -> list[str]:
    return difference.protocols.split(":")


#: Protocols that tshark enters and this decoder does not, so that only tshark has the packet inside.
_ENTERED = {
    "6lowpan", "aoe", "atm", "avsp", "bssgp", "cdma2k", "chdlc", "fr", "fp", "gtpprime", "infiniband", "ipcomp", "ipnet", "ipoib",
    "juniper", "lisp", "lisp-data", "l2tp", "macsec", "mp", "netflow", "nflog", "nsh", "openflow", "otv", "pim", "ppi", "sflow",
    "slow", "tipc", "trill", "usb", "wpan", "wtap", "isl", "dvmrp", "nhrp", "loop", "mint", "vmlab", "udld", "bfd", "hip", "pflog",
    "enc", "rpl", "sna", "h1", "spx", "ax25", "llc", "hpfeeds", "docsis", "mip", "mobileip", "babel", "mptcp", "igmp", "vntag",
    "symantec", "pktap", "cip", "gmpls", "rsvp", "lmp", "ldp", "ospf", "geonw", "btatt", "zep", "ieee1722", "ciscowl", "epl",
}  # fmt: skip

#: Why tshark may say something else. Everything else fails the test.
EXPLAINED: list[tuple[str, str, Callable[[Difference], bool]]] = [
    (
        "entered",
        "tshark enters protocols that are not entered here, and gives what it finds there",
        lambda difference: len(difference.theirs) > len(difference.ours) and bool(_ENTERED & set(_all(difference))),
    ),
    (
        "ISL",
        "tshark enters Cisco's ISL encapsulation and gives the addresses inside",
        lambda difference: difference.protocols.startswith("eth:eth"),
    ),
    (
        "ATM ARP",
        "tshark gives the operation of ATM address resolution a field of its own",
        lambda difference: difference.field == "arp.opcode" and "atmarp" in difference.protocols,
    ),
    (
        "cut or malformed",
        "of a header that is cut, or whose length is wrong, tshark shows some of its fields, or stops earlier",
        lambda difference: difference.problem is not None or "_ws.malformed" in difference.protocols,
    ),
]


@tshark
@pytest.mark.timeout(300)
def test_captures_of_the_tcpdump_source_package():
    if not CAPTURES.is_dir():
        pytest.skip("the captures are not there: scripts/captures")
    wanted = (
        "*gre* *vxlan* *geneve* *mpls* *ppp* *esp* *ah* *80211* *802.11* *802_11* "
        "*wlan* *radiotap* *can* *sctp* *ip_in* *6in4* *teredo* *erspan*"
    )
    paths = sorted({path for pattern in wanted.split() for path in CAPTURES.glob(f"{pattern}.pcap*")})
    assert len(paths) > 30
    total = 0
    used: Counter[str] = Counter()
    unexplained: list[Difference] = []
    for path in paths:
        count, differences = compare(path)
        total += count
        for difference in differences:
            reason = next((name for name, _, holds in EXPLAINED if holds(difference)), None)
            if reason is None:
                unexplained.append(difference)
            else:
                used[reason] += 1
    print(f"{total} values in {len(paths)} files; explained: {dict(used)}")
    assert unexplained == [], "\n".join(map(str, unexplained[:40]))
    assert total > 4000
