"""Capture, injection and probes on real links between private namespaces."""

from __future__ import annotations

import itertools
import socket
import threading
import time

import anyio
import pytest

from wallsocket import wire
from wallsocket.errors import NotPermitted, UsageError
from wallsocket.wire import TCP, UDP, Dot1Q, Ethernet, IPv4
from wallsocket.wire.arp import arp
from wallsocket.wire.ask import ask, ask_many, syn
from wallsocket.wire.capture import Capture, InterfaceGone
from wallsocket.wire.inject import Injector, inject, replay
from wallsocket.wire.interfaces import interface, interfaces
from wallsocket.wire.pcap import Writer, read
from wallsocket.wire.ping import ping
from wallsocket.wire.traceroute import traceroute

from .network import Host, Network

Pair = tuple[Host, Host]


def gather(capture: Capture, count: int, wanted=lambda frame: True, timeout_s: float = 10.0) -> list[wire.Frame]:
    found: list[wire.Frame] = []
    end = time.monotonic() + timeout_s
    while len(found) < count and (left := end - time.monotonic()) > 0:
        found += [frame for frame in capture.read(left) if wanted(frame)]
    return found


def test_interfaces_of_another_host(pair: Pair):
    a, _ = pair
    assert [found.name for found in interfaces(a)] == ["lo", "eth0"]
    found = interface("eth0", a)
    assert (found.address, found.mtu, found.is_up, found.hardware_type) == ("10.0.0.1", 1500, True, 1)
    assert interface(found.index, a).name == "eth0"
    with pytest.raises(UsageError, match=r"no interface 'eth7' \(there is: eth0, lo\)"):
        interface("eth7", a)


def test_frames_of_a_conversation_with_their_directions(pair: Pair):
    a, b = pair
    with Capture("eth0", host=b, filter="udp port 5000") as capture:
        receiver = b.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("10.0.0.2", 5000))
        sender = a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.sendto(b"question", ("10.0.0.2", 5000))
        _data, source = receiver.recvfrom(100)
        receiver.sendto(b"answer", source)
        frames = gather(capture, 2)
        assert [(frame.payload, frame.inbound) for frame in frames] == [(b"question", True), (b"answer", False)]
        assert capture.statistics()[:2] == (2, 0)


def test_loopback_frames_come_once(network: Network):
    a = network.host("a")
    with Capture("lo", host=a) as capture:
        sock = a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 5000))
        for number in range(10):
            sock.sendto(bytes([number]), ("127.0.0.1", 5000))
        frames = gather(capture, 10)
        assert [frame.payload[0] for frame in frames] == list(range(10))
        assert capture.read(0.2) == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_asynchronous_capture(pair: Pair, backend: str):
    a, b = pair

    async def main() -> list[bytes]:
        found = []
        async with Capture("eth0", host=b, filter="udp port 5000") as capture:
            sock = a.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for number in range(5):
                sock.sendto(bytes([number]), ("10.0.0.2", 5000))
            with anyio.fail_after(10):
                async for frame in capture:
                    found.append(frame.payload)
                    if len(found) == 5:
                        break
        return found

    assert anyio.run(main, backend=backend) == [bytes([number]) for number in range(5)]


def test_every_interface_and_a_filter_on_each(network: Network):
    a, b = network.host("a"), network.host("b")
    network.link(a, b, "eth0", "eth0", "10.0.0.1/24", "10.0.0.2/24")
    with Capture(None, host=a, filter="udp port 5000") as capture:
        sock = a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for destination in ("127.0.0.1", "10.0.0.2"):
            sock.sendto(b"x", (destination, 5000))
            sock.sendto(b"x", (destination, 5001))
        frames = gather(capture, 2)
        assert [(frame.ip.destination, frame.udp.destination_port) for frame in frames] == [
            ("127.0.0.1", 5000),
            ("10.0.0.2", 5000),
        ]
        assert frames[0].interface != frames[1].interface


def test_tags_that_the_kernel_takes_out_are_seen_by_filters_and_written_back(pair: Pair, tmp_path):
    a, b = pair
    frames = [
        Ethernet("02:00:00:00:00:09", "ff:ff:ff:ff:ff:ff")
        / Dot1Q(number)
        / IPv4("10.9.0.1", "10.9.0.2")
        / UDP(1, 2)
        / b"x"
        for number in (4, 5, 6)
    ]
    path = tmp_path / "tags.pcapng"
    with (
        Capture("eth0", host=b, filter="vlan 5") as capture,
        Capture("eth0", host=b, filter="ether src 02:00:00:00:00:09") as every,
    ):
        assert inject(frames, "eth0", host=a) == 3
        assert [frame.vlans for frame in gather(capture, 1)] == [[5]]
        with Writer(path) as writer:
            assert every.save(writer, duration_s=10, limit=3) == 3
    assert [bytes(frame) for frame in read(path)] == [bytes(frame) for frame in frames]


def test_columns_straight_from_the_ring(pair: Pair):
    pyarrow = pytest.importorskip("pyarrow")
    a, b = pair
    frame = bytes(Ethernet(destination="02:00:00:00:00:01") / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2) / b"x")
    with Capture("eth0", host=b, filter="udp port 2") as capture:
        with Injector("eth0", host=a) as injector:
            assert injector.send_all([frame] * 5000) == 5000
            assert injector.sweep(frame, [(36, 2, range(2, 3)), (42, 1, range(250))]) == 250
        table = pyarrow.table(
            capture.columns(
                ["number", "source", "destination_port", "transport_checksum", "payload"], duration_s=20, rows=5250
            )
        )
        assert capture.statistics().dropped == 0
    assert table.num_rows == 5250
    assert table["number"].to_pylist() == list(range(1, 5251))
    assert set(table["transport_checksum"].to_pylist()) == {"good"}
    assert table["payload"].to_pylist()[-250:] == [bytes([number]) for number in range(250)]


def test_an_interface_that_goes_away_ends_the_capture_with_one_line(pair: Pair, tmp_path):
    a, b = pair
    with Capture("eth0", host=b) as capture:
        inject(Ethernet() / (b"last words" + bytes(40)), "eth0", host=a)
        found = gather(capture, 1, lambda frame: b"last words" in frame.bytes)
        assert found
        b.run("ip", "link", "delete", "eth0")

        def read_on() -> None:
            while True:
                capture.read(5.0)

        with pytest.raises(InterfaceGone, match="eth0 was removed while capturing"):
            read_on()


def test_nothing_is_sent_without_an_interface(pair: Pair):
    with pytest.raises(UsageError, match="nothing is sent unasked"):
        inject(b"\0" * 60)
    with pytest.raises(UsageError, match="nothing is sent unasked"):
        ask(syn("192.0.2.1", 80))


def test_a_frame_that_does_not_fit_is_named(pair: Pair):
    a, _ = pair
    with Injector("eth0", host=a) as injector:
        with pytest.raises(UsageError, match="eth0: a frame of 9000 bytes is longer than the interface takes"):
            injector.send(bytes(9000))
        with pytest.raises(UsageError, match="eth0: a frame of 3 bytes is not a frame"):
            injector.send(b"abc")


def test_ask_tcp_udp_and_a_router(pair: Pair):
    a, b = pair
    listener = b.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("10.0.0.2", 80))
    listener.listen()
    answers = ask_many(
        [
            syn("10.0.0.2", 80),
            syn("10.0.0.2", 81, source_port=40001),
            IPv4(destination="10.0.0.2") / UDP(40002, 82) / b"x",
        ],
        5.0,
        host=a,
    )
    assert [answer.frame.tcp.flags_text for answer in answers[:2]] == ["S.", "R."]
    assert answers[2].frame.icmp.is_error
    assert all(0 < answer.time_s < 5 for answer in answers)
    assert (
        ask(IPv4(destination="10.0.0.2") / TCP(flags=".", acknowledgement_number=77), 5.0, host=a).tcp.sequence_number
        == 77
    )
    assert ask(IPv4(destination="10.0.0.9") / UDP(1, 2), 0.1, host=a) is None


def test_ping_both_versions(pair: Pair):
    a, _ = pair
    for destination in ("10.0.0.2", "fd00::2"):
        with ping(destination, count=3, interval_s=0.01, timeout_s=5, host=a) as running:
            replies = list(running)
            assert [(reply.sequence_number, reply.kind, reply.address) for reply in replies] == [
                (number, "reply", destination) for number in (1, 2, 3)
            ]
            assert all(reply.time_to_live == 64 and reply.size == 56 for reply in replies)
            found = running.summary()
            assert (found.sent, found.received, found.loss) == (3, 3, 0.0)
            assert 0 < found.minimum_s <= found.average_s <= found.maximum_s


def test_ping_without_an_answer(pair: Pair):
    a, b = pair
    b.sysctl("net/ipv4/icmp_echo_ignore_all", "1")
    with ping("10.0.0.2", count=2, interval_s=0.01, timeout_s=0.1, host=a) as running:
        assert [reply.kind for reply in running] == ["timeout", "timeout"]
        assert running.summary().loss == 1.0
    with ping("192.0.2.1", count=1, timeout_s=5, host=a) as running:
        assert [(reply.kind, reply.text) for reply in running] == [("error", "Network is unreachable")]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_asynchronous_ping(pair: Pair, backend: str):
    a, _ = pair

    async def main() -> list[str]:
        with ping("10.0.0.2", count=3, interval_s=0.01, timeout_s=5, host=a) as running:
            return [reply.kind async for reply in running]

    assert anyio.run(main, backend=backend) == ["reply"] * 3


def test_arp(pair: Pair):
    a, b = pair
    mac = interface("eth0", b).mac
    scan = arp(["10.0.0.2", "10.0.0.3"], "eth0", host=a, timeout_s=0.3)
    assert [(found.address, found.mac, found.duplicate) for found in scan] == [("10.0.0.2", mac, False)]
    assert scan.missing == ["10.0.0.3"]
    with pytest.raises(UsageError, match="no Ethernet interface"):
        arp("127.0.0.1", "lo", host=a)
    with pytest.raises(UsageError, match="no IPv4 address or network"):
        arp("10.0.0.0/99", "eth0", host=a)


@pytest.fixture
def chain(network: Network) -> list[Host]:
    """a - r1 - r2 - b, with 10.0.N.1 on the left and 10.0.N.2 on the right end of link N; link 2 has an MTU of 1400."""
    hosts = [network.host(name) for name in ("a", "r1", "r2", "b")]
    for number, (left, right) in enumerate(itertools.pairwise(hosts), 1):
        mtu = 1400 if number == 2 else 1500
        network.link(left, right, "right", "left", f"10.0.{number}.1/24", f"10.0.{number}.2/24", mtu)
    for router in hosts[1:3]:
        router.sysctl("net/ipv4/ip_forward", "1")
        router.sysctl("net/ipv4/icmp_ratelimit", "0")
    for host in hosts:
        host.sysctl("net/ipv4/icmp_msgs_per_sec", "100000")
        host.sysctl("net/ipv4/icmp_msgs_burst", "100000")
    a, r1, r2, b = hosts
    a.run("ip", "route", "add", "default", "via", "10.0.1.2")
    r1.run("ip", "route", "add", "10.0.3.0/24", "via", "10.0.2.2")
    r2.run("ip", "route", "add", "10.0.1.0/24", "via", "10.0.2.1")
    b.run("ip", "route", "add", "default", "via", "10.0.3.1")
    b.sysctl("net/ipv4/icmp_ratelimit", "0")
    return hosts


@pytest.mark.parametrize("method", ["udp", "tcp", "icmp"])
def test_traceroute(chain: list[Host], method):
    hops = list(traceroute("10.0.3.2", method=method, timeout_s=5, host=chain[0]))
    assert [hop.addresses for hop in hops] == [["10.0.1.2"], ["10.0.2.2"], ["10.0.3.2"]]
    assert [{probe.kind for probe in hop.probes} for hop in hops] == [{"router"}, {"router"}, {"destination"}]
    assert all(len(hop.probes) == 3 and all(probe.time_s < 5 for probe in hop.probes) for hop in hops)


def test_traceroute_probes_are_one_flow_and_find_the_mtu(chain: list[Host]):
    with Capture("left", host=chain[1], direction="in", filter="udp") as capture:
        hops = list(traceroute("10.0.3.2", mtu=True, in_flight=1, timeout_s=5, host=chain[0]))
        frames = gather(capture, 9)
    assert [hop.mtu for hop in hops] == [1500, 1400, 1400]
    assert len({(frame.udp.source_port, frame.udp.destination_port) for frame in frames}) == 1


class WithoutPacketSockets:
    """A host as a user without CAP_NET_RAW has it."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, proto: int = 0, /) -> socket.socket:
        if family == socket.AF_PACKET or kind & 0xF == socket.SOCK_RAW:
            raise PermissionError(1, "Operation not permitted")
        return self._host.socket(family, kind, proto)


@pytest.mark.parametrize("mtu", [False, True])
def test_traceroute_without_privilege(chain: list[Host], mtu: bool):
    running = traceroute(
        "10.0.3.2", mtu=mtu, in_flight=1 if mtu else 16, timeout_s=5, host=WithoutPacketSockets(chain[0])
    )
    assert not running.privileged
    hops = list(running)
    assert [hop.addresses for hop in hops] == [["10.0.1.2"], ["10.0.2.2"], ["10.0.3.2"]]
    assert [{probe.kind for probe in hop.probes} for hop in hops] == [{"router"}, {"router"}, {"destination"}]
    assert [hop.mtu for hop in hops] == ([1500, 1400, 1400] if mtu else [None] * 3)
    for method in ("tcp", "icmp"):
        with pytest.raises(NotPermitted, match=f"by {method} needs CAP_NET_RAW; by udp it works without"):
            traceroute("10.0.3.2", method=method, host=WithoutPacketSockets(chain[0]))


def test_a_refusal_and_a_service_end_an_unprivileged_traceroute(chain: list[Host]):
    a, r1, _, b = chain
    r1.run("ip", "route", "add", "prohibit", "10.0.3.9/32")
    hops = list(traceroute("10.0.3.9", timeout_s=5, host=WithoutPacketSockets(a), probes=1))
    assert (hops[0].probes[0].address, hops[0].probes[0].kind) == ("10.0.1.2", "unreachable")
    server = b.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("10.0.3.2", 33434))

    def answer() -> None:
        for _ in range(3):
            server.sendto(*server.recvfrom(100))

    thread = threading.Thread(target=answer)
    thread.start()
    hops = list(traceroute("10.0.3.2", timeout_s=5, first_hop=3, host=WithoutPacketSockets(a)))
    thread.join(10)
    assert [probe.kind for probe in hops[0].probes] == ["destination"] * 3


def test_a_traceroute_can_be_watched_as_it_grows(chain: list[Host]):
    tables = list(traceroute("10.0.3.2", timeout_s=5, in_flight=1, host=chain[0]).watch())
    known = [sum(probe.kind != "waiting" for hop in hops for probe in hop.probes) for hops in tables]
    assert known == sorted(known)
    assert known[-1] == 9
    assert len(set(known)) > 3
    assert [hop.addresses for hop in tables[-1]] == [["10.0.1.2"], ["10.0.2.2"], ["10.0.3.2"]]


def test_traceroute_says_who_refuses(chain: list[Host]):
    chain[1].run("ip", "route", "add", "prohibit", "10.0.3.9/32")
    hops = list(traceroute("10.0.3.9", timeout_s=5, host=chain[0], probes=1))
    assert (hops[0].probes[0].address, hops[0].probes[0].kind) == ("10.0.1.2", "unreachable")
    assert "admin prohibited" in hops[0].probes[0].text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_asynchronous_traceroute(chain: list[Host], backend: str):
    async def main() -> list[list[str]]:
        return [hop.addresses async for hop in traceroute("10.0.3.2", timeout_s=5, host=chain[0])]

    assert anyio.run(main, backend=backend) == [["10.0.1.2"], ["10.0.2.2"], ["10.0.3.2"]]


def test_replay_keeps_gaps_and_maps_addresses(pair: Pair, tmp_path):
    a, b = pair
    path = tmp_path / "sample.pcap"
    with Writer(path) as writer:
        for number in range(5):
            frame = (
                Ethernet(destination="02:00:00:00:00:01") / IPv4("192.0.2.1", "192.0.2.2") / UDP(1, 2) / bytes([number])
            )
            writer.write(frame, timestamp_ns=10**18 + number * 40_000_000)
    with Capture("eth0", host=b, filter="udp port 2") as capture:
        done = replay(
            path,
            "eth0",
            host=a,
            speed=2.0,
            map_ip={"192.0.2.1": "198.51.100.1"},
            map_mac={"02:00:00:00:00:01": "02:00:00:00:00:09"},
        )
        frames = gather(capture, 5)
    assert (done.frames, done.skipped) == (5, 0)
    assert done.asked_s == pytest.approx(0.08)
    assert done.achieved_s >= 0.08
    assert [frame.payload[0] for frame in frames] == list(range(5))
    assert {(frame.ip.source, frame.ethernet.destination, frame.checksums) for frame in frames} == {
        ("198.51.100.1", "02:00:00:00:00:09", ("good", "good"))
    }
    gaps = [later.timestamp_ns - earlier.timestamp_ns for earlier, later in itertools.pairwise(frames)]
    assert sum(gaps) >= 0.075e9
    assert replay(path, dry_run=True).frames == 5


def test_fanout_shares_frames(pair: Pair):
    a, b = pair
    frames = [
        bytes(Ethernet(destination="02:00:00:00:00:01") / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2) / bytes([number]))
        for number in range(100)
    ]
    with (
        Capture("eth0", host=b, filter="udp port 2", fanout=(7, "round-robin")) as one,
        Capture("eth0", host=b, filter="udp port 2", fanout=(7, "round-robin")) as other,
    ):
        inject(frames, "eth0", host=a)
        got = gather(one, 50) + gather(other, 50)
    assert sorted(frame.payload[0] for frame in got) == list(range(100))


def test_without_permission_the_message_names_it():
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        with pytest.raises(NotPermitted, match="CAP_NET_RAW"):
            Capture("lo")
    else:
        sock.close()
        Capture("lo").close()


def test_a_capture_can_be_asked_and_stopped_from_another_thread(network: Network):
    a = network.host("a")
    capture = Capture("lo", host=a)
    seen: list[list[wire.Frame]] = []
    thread = threading.Thread(target=lambda: seen.append(capture.read(None)))
    thread.start()
    for _ in range(3):
        assert capture.statistics().dropped == 0
    capture.close()
    thread.join(10)
    assert not thread.is_alive()
    assert seen == [[]]
