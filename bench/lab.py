"""A lab beside what people use instead: time to the first echo, a hundred hosts, and what an impaired link carries.

Every peer makes two connected hosts and has one echo answered; imports are counted where it says so. Peers that need root,
or are not installed, are named in a note.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from bench.measure import PATH, PEERS, Table, compiled, interleaved, peer_package, ratios, spread
from wallsocket import lab

DATAGRAM = socket.SOCK_DGRAM

#: A fresh interpreter that has imported the lab, as a test run has: two hosts, a link, one echo; milliseconds.
FIRST_ECHO = """
import socket, time
begin = time.perf_counter()
from wallsocket import lab
start = time.perf_counter()
net = lab.hosts("a", "b")
a, b = net
server, client = b.socket(type=socket.SOCK_DGRAM), a.socket(type=socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 7))
client.sendto(b"x" * 64, (b.address, 7))
data, peer = server.recvfrom(100)
server.sendto(data, peer)
client.recv(100)
end = time.perf_counter()
print((end - start) * 1e3, (end - begin) * 1e3)
server.close()
client.close()
net.close()
"""

PYROUTE2 = """
import time
begin = time.perf_counter()
from pyroute2 import NetNS, netns
start = time.perf_counter()
netns.create("wsb1"); netns.create("wsb2")
a, b = NetNS("wsb1"), NetNS("wsb2")
a.link("add", ifname="wsv1", kind="veth", peer={"ifname": "wsv2", "net_ns_fd": "wsb2"})
i, j = a.link_lookup(ifname="wsv1")[0], b.link_lookup(ifname="wsv2")[0]
a.addr("add", index=i, address="198.51.100.1", prefixlen=24)
b.addr("add", index=j, address="198.51.100.2", prefixlen=24)
a.link("set", index=i, state="up"); b.link("set", index=j, state="up")
end = time.perf_counter()
print((end - start) * 1e3, (end - begin) * 1e3)
a.close(); b.close()
"""
#: A version that is known to work with what stands above.
PYROUTE2_PACKAGE = "pyroute2==0.9.7"

IP_BATCH = """set -e
ip netns add wsb1; ip netns add wsb2
ip -n wsb1 -b - <<X
link add wsv1 type veth peer name wsv2 netns wsb2
addr add 198.51.100.1/24 dev wsv1
link set wsv1 up
X
ip -n wsb2 -b - <<X
addr add 198.51.100.2/24 dev wsv2
link set wsv2 up
X
"""
#: The first request can be lost while the link comes up; with a count of replies, ping repeats it.
PING = "ip netns exec wsb1 ping -c1 -i 0.002 -w 2 -q 198.51.100.2 > /dev/null"
REMOVE = "ip netns del wsb1; ip netns del wsb2"


def run(rounds: int) -> list[Table]:
    """All tables about the lab."""
    return [_first_echo(rounds), _whole_command(rounds), _hundred_hosts(rounds), _throughput(rounds), _latency(rounds)]


def _numbers(command: list[str], environment: dict[str, str] | None = None) -> list[float]:
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [float(word) for word in done.stdout.split()]


def _timed_ms(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


def _shell(text: str) -> None:
    subprocess.run(["sh", "-c", text], check=True, env={"PATH": PATH})


def _floor() -> float:
    words = subprocess.run([str(compiled("lab_floor"))], capture_output=True, text=True, check=True).stdout.split()
    return float(words[0]) + float(words[1])


def _ip_batch() -> float:
    try:
        return _timed_ms(lambda: _shell(IP_BATCH + PING))
    finally:
        _shell(REMOVE)


def _pyroute2(environment: dict[str, str], which: int) -> float:
    try:
        created = _numbers([sys.executable, "-c", PYROUTE2], environment)[which]
        return created + _timed_ms(lambda: _shell(PING))
    finally:
        _shell(REMOVE)


def _mininet(imported: bool) -> float:
    # In seconds: import, create, first echo, stop.
    load, create, echo, _ = _numbers(["/usr/bin/python3", str(PEERS / "lab_mn.py")])
    return (create + echo + (0 if imported else load)) * 1e3


def _mn() -> float:
    command = ["mn", "--switch", "lxbr", "--controller", "none", "--topo", "single,2", "--test", "pingall"]
    return _timed_ms(lambda: subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PATH": PATH}))


def _has(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, env={"PATH": PATH}).returncode == 0
    except FileNotFoundError:
        return False


def _peers() -> tuple[dict[str, Callable[[], float]], list[str]]:
    """What people use instead, as far as it can be had here; and what cannot, with the reason."""
    if not (_has("ip", "netns", "add", "wsb-probe") and _has("ip", "netns", "del", "wsb-probe")):
        return {}, ["`ip -batch`, pyroute2, Mininet (they need root, and iproute2)"]
    if shutil.which("ping", path=PATH) is None:
        return {}, ["`ip -batch`, pyroute2, Mininet (the program ping is missing)"]
    peers: dict[str, Callable[[], float]] = {"`ip -batch`, `ping` (root)": _ip_batch}
    missing = []
    environment = peer_package(PYROUTE2_PACKAGE)
    if environment is not None:
        peers["pyroute2, imported (root)"] = lambda: _pyroute2(environment, 0)
        peers["pyroute2, with its import (root)"] = lambda: _pyroute2(environment, 1)
    else:
        missing.append(f"pyroute2 (pip could not get {PYROUTE2_PACKAGE})")
    if _has("/usr/bin/python3", "-c", "import mininet.net"):
        peers["Mininet's API, imported (root)"] = lambda: _mininet(True)
        peers["Mininet's API, with its import (root)"] = lambda: _mininet(False)
    else:
        missing.append("Mininet's API (Debian package mininet)")
    if shutil.which("mn", path=PATH) and shutil.which("brctl", path=PATH):
        peers["`mn --test pingall`, two hosts on a Linux bridge (root)"] = _mn
    else:
        missing.append("`mn` (Debian packages mininet and bridge-utils)")
    return peers, missing


def _first_echo(rounds: int) -> Table:
    own = [sys.executable, "-c", FIRST_ECHO]
    others, missing = _peers()
    peers = {
        "C floor (`lab_floor.c`)": _floor,
        "**Wallsocket**, imported": lambda: _numbers(own)[0],
        "**Wallsocket**, with its import": lambda: _numbers(own)[1],
        **others,
    }
    results = interleaved(rounds, peers, "first echo")
    floor = results["C floor (`lab_floor.c`)"]
    table = Table("Two hosts, a link, the first echo", ["peer", "ms", "× C floor"], data=results)
    table.rows = [[name, spread(values), spread(ratios(values, floor))] for name, values in results.items()]
    table.rows += [[name, "missing", ""] for name in missing]
    table.notes.append("Goal: at most 3 times the C floor, imported.")
    return table


def _whole_command(rounds: int) -> Table:
    def process(*command: str) -> Callable[[], float]:
        return lambda: _timed_ms(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))

    results = interleaved(
        rounds,
        {
            "`python -c 'import click'`": process(sys.executable, "-c", "import click"),
            "`wallsocket lab run a=true b=true`": process(
                sys.executable, "-m", "wallsocket", "lab", "run", "a=true", "b=true"
            ),
        },
        "whole command",
    )
    base, whole = results.values()
    table = Table("A whole command", ["command", "ms", "ms above `import click`"], data=results)
    added = [a - b for a, b in zip(whole, base, strict=True)]
    table.rows = [[name, spread(values), "" if values is base else spread(added)] for name, values in results.items()]
    table.notes.append("Goal: at most 60 ms above `import click`.")
    return table


def _hundred_hosts(rounds: int) -> Table:
    def star(**settings: object) -> float:
        start = time.perf_counter()
        with lab.star(100, **settings):
            return time.perf_counter() - start

    networks = {
        "100 hosts on a switch": star,
        "100 hosts on a switch, every link with a forwarder": lambda: star(loss="1%"),
    }
    results = interleaved(rounds, networks, "a hundred hosts")
    table = Table("A hundred hosts", ["network", "s"], data=results)
    table.rows = [[name, spread(values, 2)] for name, values in results.items()]
    table.notes.append("Goal: at most 1 s for the first one.")
    return table


@contextmanager
def _plain() -> Iterator[tuple[lab.Host, lab.Host]]:
    with lab.hosts("a", "b") as (a, b):
        yield a, b


@contextmanager
def _forwarded(**settings: object) -> Iterator[tuple[lab.Host, lab.Host]]:
    with lab.hosts("a", "b", **settings) as (a, b):
        yield a, b


@contextmanager
def _c_loop() -> Iterator[tuple[lab.Host, lab.Host]]:
    with lab.Lab() as net:
        a, middle, b = net.host("a"), net.host("middle"), net.host("b")
        net.link(a, middle, subnet="10.0.1.0/24")
        net.link(middle, b, subnet="10.0.2.0/24")
        # One network for the two: the loop in between is a cable to them.
        b.remove_address("eth0", str(b.interfaces[0].addresses[0]))
        b.add_address("eth0", "10.0.1.9/24")
        middle.nft("table arp quiet { chain in { type filter hook input priority 0; drop; }; }")
        with middle.popen([str(compiled("link_loop")), "eth0", "eth1"], stdout=subprocess.PIPE) as loop:
            assert loop.stdout is not None
            assert loop.stdout.readline() == b"ready\n"
            try:
                yield a, b
            finally:
                loop.kill()


_LINKS: dict[str, Callable[[], AbstractContextManager[tuple[lab.Host, lab.Host]]]] = {
    "C loop (`link_loop.c`), two threads": _c_loop,
    "**Wallsocket**, a link with a forwarder that lets all pass": lambda: _forwarded(lose=[2**60]),
    "plain cable": _plain,
}


def _throughput(rounds: int) -> Table:
    def gigabits(make: Callable[[], AbstractContextManager[tuple[lab.Host, lab.Host]]]) -> float:
        with make() as (a, b):
            with b.popen("iperf3 -s -1 --forceflush", stdout=subprocess.PIPE, text=True) as server:
                while "listening" not in server.stdout.readline():
                    pass
                done = a.run(["iperf3", "-c", b.address, "-t", "2", "-O", "0.5", "-J"], capture_output=True, text=True)
                server.communicate()
            return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]) / 1e9

    results = interleaved(
        rounds, {name: lambda make=make: gigabits(make) for name, make in _LINKS.items()}, "throughput"
    )
    floor = next(iter(results.values()))
    table = Table("TCP through a link, MTU 1500, by iperf3", ["link", "Gbit/s", "× C loop"], data=results)
    table.rows = [[name, spread(values, 2), spread(ratios(values, floor), 2)] for name, values in results.items()]
    table.notes.append(
        "Goal: at least 1.5 Gbit/s. All links without segmentation offload, so that frames are as on a wire."
    )
    return table


def _latency(rounds: int) -> Table:
    def round_trip_us(make: Callable[[], AbstractContextManager[tuple[lab.Host, lab.Host]]]) -> float:
        with make() as (a, b), b.socket(type=DATAGRAM) as server, a.socket(type=DATAGRAM) as client:
            server.bind(("0.0.0.0", 7))
            client.connect((b.address, 7))
            times = []
            for _ in range(2000):
                start = time.perf_counter()
                client.send(b"x" * 64)
                data, peer = server.recvfrom(100)
                server.sendto(data, peer)
                client.recv(100)
                times.append((time.perf_counter() - start) * 1e6)
            return statistics.median(times)

    results = interleaved(
        rounds, {name: lambda make=make: round_trip_us(make) for name, make in _LINKS.items()}, "latency"
    )
    plain = results["plain cable"]
    table = Table(
        "Round trip of 64 bytes over UDP", ["link", "µs, median of 2000", "µs added per direction"], data=results
    )
    for name, values in results.items():
        added = [(a - b) / 2 for a, b in zip(values, plain, strict=True)]
        table.rows.append([name, spread(values), "" if values is plain else spread(added)])
    table.notes.append("Goal: at most 80 µs added per direction.")
    return table
