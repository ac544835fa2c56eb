"""From facts to sentences: with real facts where the loopback can show them, else with facts made by hand."""

from __future__ import annotations

import errno
import socket
from typing import Any, Literal

import pytest

from wallsocket.kernel import (
    Address,
    InetSocket,
    InterfaceAddress,
    Limits,
    Link,
    Neighbour,
    Owner,
    Route,
    causes,
    here,
    options,
)
from wallsocket.kernel.routes import LinkCounters

LOCAL = ["127.0.0.1", "10.0.0.5", "::1", "fd00::5"]


def sock(local: str, protocol: str = "tcp", state: str = "LISTEN", **more: Any) -> InetSocket:
    values: dict[str, Any] = {
        "peer": None,
        "interface": 0,
        "cookie": 1,
        "inode": 77,
        "uid": 0,
        "receive_queue": 0,
        "send_queue": 128,
        "timer": "none",
        "timer_expires_ms": 0,
        "retransmits": 0,
        "info": None,
        "memory": None,
        "congestion": None,
        "mark": None,
        "type_of_service": None,
        "shutdown": None,
        "only_inet6": None,
    }
    return InetSocket(protocol=protocol, state=state, local=Address.parse(local), **{**values, **more})


def refused(
    host: str, port: int, *listeners: InetSocket, protocol: Literal["tcp", "udp"] = "tcp"
) -> causes.Cause | None:
    return causes.nobody_listens(host, port, protocol, listeners, LOCAL, {77: (Owner(12, "nginx"),)})


def limits(**more: Any) -> Limits:
    values: dict[str, Any] = dict.fromkeys(Limits.__struct_fields__)
    return Limits(**{**values, "open_files": 1024, "open_files_hard": 4096, **more})


def link(name: str, index: int, flags: int) -> Link:
    return Link(
        index=index,
        name=name,
        kind=None,
        flags=flags,
        mtu=1500,
        hardware_type=1,
        hardware_address=b"",
        master=None,
        peer=None,
        carrier=None,
        queue_length=0,
        counters=LinkCounters(**dict.fromkeys(LinkCounters.__struct_fields__, 0)),
    )


def route(**more: Any) -> Route:
    values: dict[str, Any] = {
        "family": 2,
        "destination": None,
        "prefix_length": 0,
        "gateway": None,
        "interface": 2,
        "preferred_source": None,
        "metric": 0,
        "table": 254,
        "origin": "static",
        "scope": "global",
        "type": "unicast",
        "mtu": None,
        "hops": (),
    }
    return Route(**{**values, **more})


LO, ETH = link("lo", 1, 0x8049), link("eth0", 2, 0x1043)


@pytest.mark.parametrize(
    ("host", "port", "listeners", "name", "sentence"),
    [
        (
            "127.0.0.1",
            8081,
            [],
            "nobody_listens",
            "nobody listens on 127.0.0.1:8081, nor on any other port of that address",
        ),
        (
            "127.0.0.1",
            8081,
            [sock("127.0.0.1:8080")],
            "nobody_listens",
            "nobody listens on 127.0.0.1:8081; nginx (pid 12) listens on 127.0.0.1:8080",
        ),
        (
            "0.0.0.0",
            8081,
            [sock("127.0.0.1:8080")],
            "nobody_listens",
            "nobody listens on 127.0.0.1:8081 (where 0.0.0.0 leads); nginx (pid 12) listens on 127.0.0.1:8080",
        ),
        (
            "127.0.0.1",
            9,
            [sock("127.0.0.1:80", inode=5), sock("0.0.0.0:443", inode=6), sock("127.0.0.1:99")],
            "nobody_listens",
            "nobody listens on 127.0.0.1:9; nginx (pid 12) listens on 127.0.0.1:99, something listens on 127.0.0.1:80 and "
            "0.0.0.0:443",
        ),
        (
            "10.0.0.5",
            80,
            [sock("127.0.0.1:80")],
            "loopback_only",
            "nginx (pid 12) listens on 127.0.0.1:80, which only this machine reaches; nobody listens on 10.0.0.5:80",
        ),
        (
            "127.0.0.1",
            80,
            [sock("10.0.0.5:80", inode=5)],
            "other_address",
            "something listens on 10.0.0.5:80, not on 127.0.0.1:80",
        ),
        (
            "127.0.0.1",
            80,
            [sock("[::1]:80", only_inet6=False)],
            "other_ip_version",
            "nginx (pid 12) listens on [::1]:80, that is IPv6; nobody listens on 127.0.0.1:80",
        ),
        (
            "127.0.0.1",
            80,
            [sock("[::]:80", only_inet6=True)],
            "only_inet6",
            "nginx (pid 12) listens on [::]:80 with IPV6_V6ONLY, so IPv4 does not reach it; nobody listens on "
            "127.0.0.1:80",
        ),
        (
            "127.0.0.1",
            36895,
            [sock("0.0.0.0:8080")],
            "byte_swapped_port",
            "nobody listens on 127.0.0.1:36895; 36895 is 8080 with its bytes swapped, and nginx (pid 12) listens on "
            "0.0.0.0:8080",
        ),
        (
            "127.0.0.1",
            53,
            [sock("127.0.0.1:53", protocol="udp", state="CLOSE")],
            "other_protocol",
            "no TCP socket listens on 127.0.0.1:53; nginx (pid 12) uses that port for UDP",
        ),
        (
            "192.0.2.1",
            80,
            [],
            "refused_by_peer",
            "the host 192.0.2.1 answered that nobody listens on port 80, or a firewall there refuses it",
        ),
    ],
)
def test_nobody_listens(host: str, port: int, listeners: list[InetSocket], name: str, sentence: str) -> None:
    cause = refused(host, port, *listeners)
    assert cause is not None
    assert (cause.name, cause.sentence) == (name, sentence)


@pytest.mark.parametrize(
    ("host", "listener"),
    [
        ("127.0.0.1", sock("127.0.0.1:80")),
        ("127.0.0.1", sock("0.0.0.0:80")),
        ("127.0.0.1", sock("[::]:80", only_inet6=False)),
        ("::1", sock("[::]:80", only_inet6=True)),
        ("::ffff:127.0.0.1", sock("127.0.0.1:80")),
    ],
)
def test_a_listener_that_fits_is_no_cause(host: str, listener: InetSocket) -> None:
    assert refused(host, 80, listener) is None


def test_a_port_that_is_its_own_swap() -> None:
    # 0x0101: both bytes equal.
    cause = refused("127.0.0.1", 257, sock("127.0.0.1:9"))
    assert cause is not None
    assert cause.name == "nobody_listens"


@pytest.mark.parametrize("port", [80, 8080, 5001, 65280, 1])
def test_swapping_twice_changes_nothing(port: int) -> None:
    assert causes.swapped_port(port) == socket.htons(port)
    assert causes.swapped_port(causes.swapped_port(port)) == port


def test_a_real_refusal() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            free = closed.getsockname()[1]
        with socket.socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect(("127.0.0.1", free))
        listeners = here.listeners()
        addresses = [address.address for address in here.addresses()]
        owners = here.owners([row.inode for row in listeners]).by_inode
        cause = causes.nobody_listens("127.0.0.1", free, "tcp", listeners, addresses, owners)
        assert cause is not None
        assert cause.sentence.startswith(f"nobody listens on 127.0.0.1:{free}")
        assert causes.nobody_listens("127.0.0.1", taken, "tcp", listeners, addresses, owners) is None


def test_address_in_use_by_a_listener() -> None:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(OSError) as error:
            second.bind(("127.0.0.1", port))
        assert error.value.errno == errno.EADDRINUSE
        found = here.sockets("tcp", local_port=port)
        owners = here.owners([row.inode for row in found]).by_inode
        cause = causes.address_in_use("127.0.0.1", port, "tcp", found, reuse_address=False, owners=owners)
        assert cause is not None
        assert cause.name == "in_use"
        assert f"listens on 127.0.0.1:{port}" in cause.sentence
        assert "pid" in cause.sentence
        assert causes.address_in_use("127.0.0.1", port + 1, "tcp", found, reuse_address=False) is None


def test_address_in_use_by_time_wait_and_by_connections() -> None:
    waiting = [sock("127.0.0.1:80", state="TIME_WAIT", inode=0)] * 2
    cause = causes.address_in_use("0.0.0.0", 80, "tcp", waiting, reuse_address=False)
    assert cause is not None
    assert cause.sentence == (
        "nobody listens on 0.0.0.0:80, but 2 closed connections of it wait out TIME_WAIT (60 s), and SO_REUSEADDR was "
        "not set"
    )
    assert causes.address_in_use("0.0.0.0", 80, "tcp", waiting, reuse_address=True) is None
    live = [sock("127.0.0.1:80", state="ESTABLISHED")]
    cause = causes.address_in_use("0.0.0.0", 80, "tcp", live, reuse_address=False, owners={77: (Owner(9, "worker"),)})
    assert cause is not None
    assert "a connection of an earlier listener still uses the port" in cause.sentence
    assert "ESTABLISHED; worker (pid 9)" in cause.sentence
    datagram = causes.address_in_use(
        "127.0.0.1", 53, "udp", [sock("0.0.0.0:53", protocol="udp", state="CLOSE")], reuse_address=False
    )
    assert datagram is not None
    assert datagram.sentence == "another socket is bound to 0.0.0.0:53, so 127.0.0.1:53 is taken"


def test_address_that_is_not_ours() -> None:
    with socket.socket() as bound, pytest.raises(OSError) as error:
        bound.bind(("192.0.2.200", 0))
    assert error.value.errno == errno.EADDRNOTAVAIL
    cause = causes.address_not_local("192.0.2.200", here.addresses(), here.links())
    assert cause is not None
    assert cause.sentence.startswith("no interface of this host has the address 192.0.2.200; it has ")
    assert "127.0.0.1 (lo)" in cause.sentence
    assert causes.address_not_local("127.0.0.1", here.addresses(), here.links()) is None


def test_no_route() -> None:
    cause = causes.no_route("192.0.2.1", None, [], [LO, ETH])
    assert cause is not None
    assert cause.sentence == "no IPv4 route leads to 192.0.2.1, and there is no IPv4 default route"
    cause = causes.no_route("192.0.2.1", None, [], [LO, link("eth0", 2, 0x1002)])
    assert cause is not None
    assert cause.sentence == "no route leads to 192.0.2.1: no interface but the loopback is up (eth0 is down)"
    refusing = route(destination="192.0.2.0", prefix_length=24, type="blackhole")
    cause = causes.no_route("192.0.2.1", None, [refusing], [LO, ETH])
    assert cause is not None
    assert cause.sentence == "a route of type blackhole for 192.0.2.0/24 refuses 192.0.2.1"
    kernels_own = route(family=10, type="unreachable", origin="kernel")
    cause = causes.no_route("2001:db8::1", None, [kernels_own], [LO, ETH])
    assert cause is not None
    assert cause.name == "no_route"
    assert causes.no_route("192.0.2.1", route(), [], [LO, ETH]) is None


def test_neighbour_that_is_silent() -> None:
    silent = Neighbour(interface=2, address="10.0.0.1", hardware_address=b"", state="FAILED")
    through = route(gateway="10.0.0.1")
    cause = causes.neighbour_silent(through, "192.0.2.1", [silent], [LO, ETH])
    assert cause is not None
    assert cause.sentence.startswith("the router 10.0.0.1 does not answer ARP on eth0")
    direct = causes.neighbour_silent(route(), "10.0.0.1", [silent], [LO, ETH])
    assert direct is not None
    assert direct.sentence.startswith("10.0.0.1 does not answer ARP on eth0")
    known = Neighbour(interface=2, address="10.0.0.1", hardware_address=b"\2", state="REACHABLE")
    assert causes.neighbour_silent(through, "192.0.2.1", [known], [LO, ETH]) is None


def test_ports_and_descriptors() -> None:
    low = causes.port_not_permitted(80, limits(first_unprivileged_port=1024))
    assert low is not None
    assert low.sentence == "port 80 is below 1024, so binding it needs CAP_NET_BIND_SERVICE"
    assert causes.port_not_permitted(1024, limits(first_unprivileged_port=1024)) is None
    assert causes.port_not_permitted(80, limits()) is None
    assert causes.no_descriptors(limits(), 1024, whole_system=False).sentence == (
        "the process has 1024 of 1024 descriptors open; it may raise its limit itself up to 4096"
    )
    assert (
        "no free open file of 9"
        in causes.no_descriptors(limits(system_open_files_limit=9), None, whole_system=True).sentence
    )
    full = causes.no_free_port("192.0.2.1", 80, limits(port_range=(1000, 1009)), 10)
    assert full is not None
    assert full.sentence == "all 10 local ports from 1000 to 1009 are in use for connections to 192.0.2.1:80"
    assert causes.no_free_port("192.0.2.1", 80, limits(port_range=(1000, 1009)), 9) is None


def test_broadcast() -> None:
    address = InterfaceAddress(
        interface=2, address="10.0.0.5", prefix_length=24, peer=None, broadcast="10.0.0.255", scope="global", flags=0
    )
    cause = causes.broadcast_not_allowed("10.0.0.255", False, [address])
    assert cause is not None
    assert cause.sentence == "10.0.0.255 is a broadcast address and SO_BROADCAST is off"
    assert causes.broadcast_not_allowed("10.0.0.255", True, [address]) is None
    assert causes.broadcast_not_allowed("10.0.0.5", False, [address]) is None


@pytest.mark.parametrize(("family", "most"), [(socket.AF_INET, 65507), (socket.AF_INET6, 65527)])
def test_longest_datagram(family: int, most: int) -> None:
    local = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        try:
            udp.bind((local, 0))
        except OSError as error:
            pytest.skip(f"no such address: {error}")
        assert udp.sendto(b"x" * most, udp.getsockname()) == most
        with pytest.raises(OSError) as error:
            udp.sendto(b"x" * (most + 1), udp.getsockname())
        assert error.value.errno == errno.EMSGSIZE
    cause = causes.message_too_long(most + 1, family, None, fragments_allowed=True)
    assert cause is not None
    assert f"at most {most} bytes, not {most + 1}" in cause.sentence
    assert causes.message_too_long(most, family, None, fragments_allowed=True) is None
    path = causes.message_too_long(1473, socket.AF_INET, 1500, fragments_allowed=False)
    assert path is not None
    assert "1472 bytes of data" in path.sentence
    assert causes.message_too_long(1472, socket.AF_INET, 1500, fragments_allowed=False) is None


def test_clamped_buffer() -> None:
    limit = here.limits().receive_buffer_max
    assert limit is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * limit)
        in_force = options.get(udp, "SO_RCVBUF").value
        cause = causes.buffer_clamped("SO_RCVBUF", 4 * limit, in_force, here.limits())
        assert cause is not None
        assert f"asked for {4 * limit} bytes but net.core.rmem_max allows {limit}" in cause.sentence
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        in_force = options.get(udp, "SO_RCVBUF").value
        assert causes.buffer_clamped("SO_RCVBUF", 8192, in_force, here.limits()) is None


def test_full_accept_queue() -> None:
    full = sock("127.0.0.1:80", receive_queue=6, send_queue=5)
    cause = causes.accept_queue_full(full, 3, limits(accept_queue=4096))
    assert cause is not None
    assert cause.sentence == (
        "6 connections wait for accept on 127.0.0.1:80, whose backlog is 5; the kernel drops further ones, 3 so far on "
        "this host"
    )
    capped = causes.accept_queue_full(sock("127.0.0.1:80", receive_queue=6, send_queue=5), 0, limits(accept_queue=5))
    assert capped is not None
    assert "(net.core.somaxconn allows 5)" in capped.sentence
    assert causes.accept_queue_full(sock("127.0.0.1:80", receive_queue=5, send_queue=5), 3, limits()) is None
