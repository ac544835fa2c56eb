"""Field by field against tshark: on generated frames and on the captures of Debian's tcpdump source package.

A difference is allowed only where a row of :data:`EXPLAINED` says why. Reassembly and everything else that looks beyond
the frame is switched off in tshark, because a row here is one frame.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from wallsocket.wire import ARP, ICMP, IGMP, TCP, UDP, Dot1Q, Ethernet, Frame, ICMPv6, IPv4, IPv6, read
from wallsocket.wire.craft import Layer, fragment
from wallsocket.wire.pcap import write

CAPTURES = Path(__file__).parents[2] / "build/captures/tests"

tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark (apt install tshark)")

#: tshark's field, the protocols in ``frame.protocols`` it may belong to, and the same from our frame.
FIELDS: list[tuple[str, tuple[str, ...], Callable[[Frame], Any]]] = [
    ("frame.len", ("frame",), lambda frame: frame.original_length),
    ("frame.cap_len", ("frame",), lambda frame: len(frame)),
    ("eth.src", ("eth",), lambda frame: frame.ethernet and frame.ethernet.source),
    ("eth.dst", ("eth",), lambda frame: frame.ethernet and frame.ethernet.destination),
    ("vlan.id", ("vlan", "ieee8021ad"), lambda frame: frame.vlans[0] if frame.vlans else None),
    ("ip.src", ("ip",), lambda frame: frame.ip.source if frame.ip and frame.ip.version == 4 else None),
    ("ip.dst", ("ip",), lambda frame: frame.ip.destination if frame.ip and frame.ip.version == 4 else None),
    ("ip.ttl", ("ip",), lambda frame: frame.ip.time_to_live if frame.ip and frame.ip.version == 4 else None),
    ("ip.proto", ("ip",), lambda frame: frame.ip.next_header if frame.ip and frame.ip.version == 4 else None),
    ("ip.len", ("ip",), lambda frame: frame.ip.length if frame.ip and frame.ip.version == 4 else None),
    ("ip.id", ("ip",), lambda frame: frame.ip.identification if frame.ip and frame.ip.version == 4 else None),
    ("ip.hdr_len", ("ip",), lambda frame: frame.ip.header_length if frame.ip and frame.ip.version == 4 else None),
    (
        "ip.flags.mf",
        ("ip",),
        lambda frame: int(frame.ip.more_fragments) if frame.ip and frame.ip.version == 4 else None,
    ),
    (
        "ip.frag_offset",
        ("ip",),
        lambda frame: frame.ip.fragment_offset // 8 if frame.ip and frame.ip.version == 4 else None,
    ),
    ("ipv6.src", ("ipv6",), lambda frame: frame.ip.source if frame.ip and frame.ip.version == 6 else None),
    ("ipv6.dst", ("ipv6",), lambda frame: frame.ip.destination if frame.ip and frame.ip.version == 6 else None),
    ("ipv6.hlim", ("ipv6",), lambda frame: frame.ip.time_to_live if frame.ip and frame.ip.version == 6 else None),
    ("ipv6.nxt", ("ipv6",), lambda frame: frame.ip.next_header if frame.ip and frame.ip.version == 6 else None),
    ("ipv6.plen", ("ipv6",), lambda frame: frame.ip.length - 40 if frame.ip and frame.ip.version == 6 else None),
    ("ipv6.flow", ("ipv6",), lambda frame: frame.ip.flow_label if frame.ip and frame.ip.version == 6 else None),
    ("tcp.srcport", ("tcp",), lambda frame: frame.tcp and frame.tcp.source_port),
    ("tcp.dstport", ("tcp",), lambda frame: frame.tcp and frame.tcp.destination_port),
    (
        "tcp.seq_raw",
        ("tcp",),
        lambda frame: frame.tcp.sequence_number if frame.tcp and frame.tcp.present >= 8 else None,
    ),
    (
        "tcp.ack_raw",
        ("tcp",),
        lambda frame: frame.tcp.acknowledgement_number if frame.tcp and frame.tcp.present >= 12 else None,
    ),
    ("tcp.hdr_len", ("tcp",), lambda frame: frame.tcp.header_length if frame.tcp and frame.tcp.present >= 13 else None),
    ("tcp.flags", ("tcp",), lambda frame: frame.tcp.flags if frame.tcp and frame.tcp.present >= 14 else None),
    (
        "tcp.window_size_value",
        ("tcp",),
        lambda frame: frame.tcp.window if frame.tcp and frame.tcp.present >= 16 else None,
    ),
    ("tcp.options.mss_val", ("tcp",), lambda frame: frame.tcp and frame.tcp.maximum_segment_size),
    ("tcp.options.wscale.shift", ("tcp",), lambda frame: frame.tcp and frame.tcp.window_scale),
    (
        "tcp.options.timestamp.tsval",
        ("tcp",),
        lambda frame: frame.tcp.timestamps[0] if frame.tcp and frame.tcp.timestamps else None,
    ),
    ("udp.srcport", ("udp",), lambda frame: frame.udp and frame.udp.source_port),
    ("udp.dstport", ("udp",), lambda frame: frame.udp and frame.udp.destination_port),
    ("udp.length", ("udp",), lambda frame: frame.udp.length if frame.udp and frame.udp.present >= 6 else None),
    ("icmp.type", ("icmp",), lambda frame: frame.icmp.type if frame.icmp and frame.icmp.version == 4 else None),
    ("icmp.code", ("icmp",), lambda frame: frame.icmp.code if frame.icmp and frame.icmp.version == 4 else None),
    ("icmpv6.type", ("icmpv6",), lambda frame: frame.icmp.type if frame.icmp and frame.icmp.version == 6 else None),
    ("icmpv6.code", ("icmpv6",), lambda frame: frame.icmp.code if frame.icmp and frame.icmp.version == 6 else None),
    ("igmp.type", ("igmp",), lambda frame: frame.igmp and frame.igmp.type),
    ("arp.opcode", ("arp",), lambda frame: frame.arp and frame.arp.operation),
]

_OPTIONS = [
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.analyze_sequence_numbers:FALSE",
    "ip.tso_support:FALSE",
]


def by_tshark(path: Path) -> list[dict[str, Any]]:
    """One dictionary per frame: values as numbers or text, ``None`` where tshark has none."""
    names = ["frame.interface_id", "frame.protocols", "ieee8021ad.id", *(name for name, _, _ in FIELDS)]
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=/t", "-E", "occurrence=f"]
    for option in _OPTIONS:
        command += ["-o", option]
    for name in names:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, errors="replace")
    rows = []
    for line in done.stdout.splitlines():
        row: dict[str, Any] = dict(zip(names, line.split("\t"), strict=False))
        for name, value in row.items():
            if value == "":
                row[name] = None
            elif name not in ("frame.protocols", "eth.src", "eth.dst", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst"):
                row[name] = int(value == "True") if value in ("True", "False") else int(value, 0)
        layers = (row["frame.protocols"] or "").split(":")
        if "ieee8021ad" in layers and "vlan" not in layers[: layers.index("ieee8021ad")]:
            # tshark names the identifier of an 802.1ad tag differently.
            row["vlan.id"] = row["ieee8021ad.id"]
        rows.append(row)
    return rows


def by_tshark_together(paths: list[Path], scratch: Path) -> dict[Path, list[dict[str, Any]]]:
    """The same for many files at once: starting tshark costs more than reading a small capture.

    mergecap, which reads files with the same library, puts each file's frames behind an interface of its own. The few
    files that it refuses (link types that this tshark does not know) are read one by one.
    """
    together, alone = list(paths), []
    merged = scratch / "merged.pcapng"
    while True:
        command = ["mergecap", "-a", "-I", "none", "-w", str(merged), *map(str, together)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        if done.returncode == 0:
            break
        refused = re.search(r'The file "([^"]+)"', done.stderr)
        assert refused is not None, done.stderr
        together.remove(Path(refused[1]))
        alone.append(Path(refused[1]))
    assert len(alone) < 20, alone
    rows: dict[Path, list[dict[str, Any]]] = {path: [] for path in together}
    for row in by_tshark(merged):
        rows[together[row["frame.interface_id"]]].append(row)
    return rows | {path: by_tshark(path) for path in alone}


class Difference(NamedTuple):
    path: str
    number: int
    field: str
    ours: Any
    theirs: Any
    protocols: str
    problem: str | None
    link_type: int


#: Layers that are decoded here; behind any other, a field of tshark's belongs to a packet inside of another protocol.
_OURS = {
    "eth", "ethertype", "vlan", "ieee8021ad", "sll", "null", "raw", "ip", "ipv6", "ipv6.hopopts", "ipv6.routing",
    "ipv6.fraghdr", "ipv6.dstopts", "ah", "mip6", "hip", "shim6", "tcp", "udp", "icmp", "icmpv6", "igmp", "arp", "llc",
    "data", "frame",
}  # fmt: skip


def _inside(difference: Difference) -> bool:
    """Only tshark has it, and it comes from inside a protocol that is not entered here, or from a quoted packet."""
    if difference.ours is not None:
        return False
    layers = difference.protocols.split(":")
    owner = next(owners for name, owners, _ in FIELDS if name == difference.field)
    for position, layer in enumerate(layers):
        if layer in owner and position:
            before = layers[:position]
            seen_ip = sum(each in ("ip", "ipv6") for each in before)
            foreign = any(each not in _OURS for each in before)
            return foreign or "icmp" in before or "icmpv6" in before or seen_ip > (0 if layer in ("ip", "ipv6") else 1)
    return False


#: Why tshark may say something else: name, reason, and what recognises it. Everything else fails the test.
EXPLAINED: list[tuple[str, str, Callable[[Difference], bool]]] = [
    (
        "inside",
        "tshark enters tunnels and quoted packets; here a row is the outer packet, the inner one is its payload",
        _inside,
    ),
    (
        "pseudo-header",
        "tshark takes the four bytes that pcap puts before ATM cells off the frame and its lengths",
        lambda difference: difference.link_type == 123 and difference.field in ("frame.len", "frame.cap_len"),
    ),
    (
        "igmp subprotocol",
        "tshark gives DVMRP and other protocols in IGMP messages a type field of their own",
        lambda difference: difference.field == "igmp.type" and ":igmp:" in difference.protocols,
    ),
    (
        "ISL",
        "tshark enters Cisco's ISL encapsulation (destination 01:00:0c:00:00), a tunnel, and gives the inner addresses",
        lambda difference: (
            difference.protocols.startswith("eth:eth") and str(difference.ours).startswith("01:00:0c:00:00")
        ),
    ),
    (
        "ATM ARP",
        "tshark gives the operation of ATM address resolution a field of its own",
        lambda difference: difference.field == "arp.opcode" and "atmarp" in difference.protocols,
    ),
    (
        "cut TCP header",
        "tshark shows no number of a TCP header that is cut, not even those that are there",
        lambda difference: (
            difference.field.startswith("tcp.") and difference.theirs is None and "cut by" in (difference.problem or "")
        ),
    ),
]


def compare(path: Path, theirs: list[dict[str, Any]]) -> tuple[int, list[Difference], Counter[str]]:
    """Frames compared, differences without an explanation, and how often each explanation was needed."""
    unexplained: list[Difference] = []
    used: Counter[str] = Counter()
    count = 0
    with read(path) as reader:
        for frame, row in zip(reader, theirs, strict=False):
            count += 1
            for name, _, get in FIELDS:
                ours, other = get(frame), row.get(name)
                if ours == other:
                    continue
                difference = Difference(
                    path.name,
                    frame.number,
                    name,
                    ours,
                    other,
                    row["frame.protocols"] or "",
                    frame.problem,
                    frame.link_type,
                )
                reason = next((key for key, _, applies in EXPLAINED if applies(difference)), None)
                if reason is None:
                    unexplained.append(difference)
                else:
                    used[reason] += 1
    return count, unexplained, used


def generated(seed: int, count: int = 400) -> list[bytes]:
    """Frames of every layer that can be crafted, some cut, from a seed."""
    dice = random.Random(seed)

    def address() -> str:
        return f"10.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(1, 255)}"

    def address6() -> str:
        return f"fd00::{dice.randrange(1, 65536):x}"

    frames = []
    while len(frames) < count:
        version6 = dice.random() < 0.4
        head: Layer = (
            IPv6(
                address6(),
                address6(),
                dice.randrange(256),
                traffic_class=dice.randrange(256),
                flow_label=dice.randrange(1 << 20),
            )
            if version6
            else IPv4(
                address(),
                address(),
                dice.randrange(1, 256),
                identification=dice.randrange(65536),
                options=dice.choice([b"", b"\x94\x04\0\0"]),
            )
        )
        # Ports without a dissector of their own: what is inside is not compared.
        ports = dice.randrange(50000, 60000), dice.randrange(50000, 60000)
        data = dice.randbytes(dice.randrange(0, 300))
        options = [
            ("mss", dice.randrange(65536)),
            "sackOK",
            ("TS", dice.randrange(1 << 32), dice.randrange(1 << 32)),
            "nop",
            ("wscale", dice.randrange(15)),
        ]
        body = dice.choice(
            [
                TCP(
                    *ports,
                    dice.randrange(1 << 32),
                    dice.randrange(1 << 32),
                    dice.randrange(1 << 9),
                    dice.randrange(65536),
                    options=options,
                ),
                UDP(*ports),
                ICMPv6(identifier=5) if version6 else ICMP(identifier=5),
                IGMP(group="224.0.1.1") if not version6 else UDP(*ports),
            ]
        )
        outer: Any = Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01")
        for _ in range(dice.choice([0, 0, 0, 1, 2])):
            outer = outer / Dot1Q(dice.randrange(1, 4095), dice.randrange(8))
        packet = head / body / data
        pieces = (
            fragment(packet, 200)
            if dice.random() < 0.1 and len(packet) > 200 and not (isinstance(head, IPv4) and head.options)
            else [packet]
        )
        frames += [bytes(outer / piece) for piece in pieces]
        if dice.random() < 0.1:
            frames.append(bytes(outer / ARP(dice.choice([1, 2]), "02:00:00:00:00:02", address(), target=address())))
    return frames


@tshark
@pytest.mark.parametrize("name", ["a.pcap", "a.pcapng", "a.pcap.gz"])
def test_generated_frames(tmp_path, name):
    path = tmp_path / name
    frames = generated(seed=6)
    write(path, frames)
    count, unexplained, _ = compare(path, by_tshark(path))
    assert count == len(frames)
    assert unexplained == []


@tshark
@pytest.mark.timeout(300)
def test_captures_of_the_tcpdump_source_package(tmp_path):
    if not CAPTURES.is_dir():
        done = subprocess.run(["scripts/captures"], cwd=CAPTURES.parents[2], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"the captures cannot be had: {done.stderr.strip()}")
    paths = sorted(path for path in CAPTURES.iterdir() if ".pcap" in path.suffixes or path.suffix == ".pcapng")
    assert len(paths) > 600
    theirs = by_tshark_together([path for path in paths if path.stem != "empty"], tmp_path)
    total = 0
    used: Counter[str] = Counter()
    unexplained: list[Difference] = []
    for path in paths:
        count, differences, explanations = compare(path, theirs.get(path, []))
        total += count
        unexplained += differences
        used += explanations
    print(f"{total} frames compared in {len(paths)} files; explained: {dict(used)}")
    assert unexplained == [], f"{len(unexplained)} differences: " + "\n".join(map(str, unexplained[:40]))
    assert set(used) == {key for key, _, _ in EXPLAINED}, "an explanation that is not needed"
    assert total > 9000
