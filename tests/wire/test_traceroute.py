"""Traceroute over networks of many forms, compared with how they were built and with the system's tool."""

from __future__ import annotations

import itertools
import random
import re
import shutil
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from wallsocket import lab
from wallsocket.errors import NotPermitted
from wallsocket.lab import Host, Lab
from wallsocket.wire.traceroute import traceroute


class Path(NamedTuple):
    """A network in a line: what each distance answers with, and the largest packet that gets there."""

    client: Host
    destination: str
    addresses: list[str]
    sizes: list[int]


@pytest.fixture(params=range(20))
def path(request: pytest.FixtureRequest) -> Iterator[Path]:
    chance = random.Random(request.param)
    try:
        net = Lab(seed=request.param)
    except NotPermitted as error:
        pytest.skip(str(error))
    with net:
        count = chance.randrange(2, 7)
        hosts = [net.host(f"h{number}", forward=0 < number < count - 1) for number in range(count)]
        mtus = [1500] + [chance.choice((1500, 1500, 1492, 1400, 1280)) for _ in range(count - 2)]
        for near, far, mtu in zip(hosts, hosts[1:], mtus, strict=False):
            # Some routers answer slowly.
            net.link(near, far, mtu=mtu, **({"delay": "15ms"} if chance.random() < 0.3 else {}))
        for host in hosts:
            # Else the kernel answers about one such probe a second, and times decide what is seen.
            host.sysctl("net.ipv4.icmp_ratelimit", 0)
        addresses = [host.address_on(near) for near, host in itertools.pairwise(hosts)]
        sizes = [min(mtus[: number + 1]) for number in range(len(mtus))]
        yield Path(hosts[0], addresses[-1], addresses, sizes)


@pytest.mark.parametrize("method", ["udp", "icmp", "tcp"])
def test_every_distance_is_found_again_and_again(path: Path, method: str):
    for _ in range(2):
        hops = list(traceroute(path.destination, method=method, timeout_s=5, host=path.client))
        assert [hop.addresses for hop in hops] == [[address] for address in path.addresses]
        assert all(probe.time_s is not None for hop in hops for probe in hop.probes)


@pytest.mark.parametrize("method", ["udp", "icmp"])
def test_the_mtu_is_found_also_when_the_kernel_knows_it(path: Path, method: str):
    """The second time the kernel has learnt the MTU of the path, and would refuse larger packets."""
    for in_flight in (16, 1):
        hops = list(
            traceroute(path.destination, method=method, mtu=True, in_flight=in_flight, timeout_s=5, host=path.client)
        )
        assert [hop.addresses for hop in hops] == [[address] for address in path.addresses]
        assert [hop.mtu for hop in hops] == path.sizes


def test_the_system_s_tool_says_the_same(path: Path):
    if shutil.which("traceroute") is None:
        pytest.skip("needs traceroute (apt install traceroute)")
    hops = list(traceroute(path.destination, mtu=True, probes=1, timeout_s=5, host=path.client))
    done = path.client.run(
        ["traceroute", "-n", "--mtu", "-q", "1", path.destination], capture_output=True, text=True, check=True
    )
    # A line: distance, address, time, and the size from here on where it changes.
    lines = [line for line in done.stdout.splitlines()[1:] if re.match(r"\s*\d+\s", line)]
    assert [line.split()[1] for line in lines] == [hop.addresses[0] for hop in hops]
    size = 0
    for line, hop in zip(lines, hops, strict=True):
        size = int(found[1]) if (found := re.search(r"F=(\d+)", line)) else size
        assert hop.mtu == size


def test_a_destination_that_answers_seldom_is_not_put_too_far():
    """net.ipv4.icmp_ratelimit: after a burst of six, one answer a second."""
    try:
        net = lab.line(3)
    except NotPermitted as error:
        pytest.skip(str(error))
    with net:
        client, server = net["h1"], net["h3"]
        for _ in range(4):
            hops = list(traceroute(server.address, probes=1, host=client))
            assert len(hops) <= 3
            assert all(hop.addresses in ([], [server.address]) for hop in hops[2:])
