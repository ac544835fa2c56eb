"""Endpoints on hosts of a lab: the socket is made there, in the calling process; routers and firewalls answer."""

from __future__ import annotations

import contextlib
import os

import pytest

from wallsocket import framing, lab, reasons
from wallsocket.endpoints import addresses
from wallsocket.errors import (
    DatagramTooLong,
    DeadlinePassed,
    IcmpError,
    PortUnreachable,
    UsageError,
    WallsocketError,
)


@contextlib.contextmanager
def network(make, *names, **options):
    try:
        made = make(*names, **options)
    except WallsocketError as error:
        pytest.skip(f"no lab here: {error}")
    with made:
        yield list(made)


@pytest.fixture
def hosts():
    with network(lab.hosts, "a", "b") as (a, b):
        yield a, b


def test_tcp_udp_and_reasons_of_another_host(hosts, patient_reasons):
    a, b = hosts
    with a.tcp.listen((a.address, 80)) as listener, b.tcp.connect((a.address, 80), timeout_s=30) as client:
        assert client.peer[0] == a.address
        with listener.accept(timeout_s=30) as accepted:
            assert accepted.peer == client.local
        with pytest.raises(OSError, match="in use") as caught:
            a.tcp.listen((a.address, 80))
        assert reasons.of(caught.value).cause.name == "in_use"
        with pytest.raises(ConnectionRefusedError) as caught:
            b.tcp.connect((a.address, 81), timeout_s=30)
        assert reasons.of(caught.value).cause.name == "refused_by_peer"
        assert f"on host {b.name}" in caught.value.__notes__[0]
    with a.udp.bind((a.address, 53)) as server, b.udp.connect((a.address, 53)) as client:
        client.send(b"question")
        server.reply(server.receive(timeout_s=30), b"answer")
        assert client.receive(timeout_s=30).data == b"answer"
        limit = client.path_mtu - 28
        client.options["IP_MTU_DISCOVER"] = 2  # IP_PMTUDISC_DO: never fragment
        with pytest.raises(DatagramTooLong, match=f"the limit is {limit} bytes") as caught:
            client.send(b"x" * (limit + 1))
        assert caught.value.limit == limit
        client.send(b"x" * limit)
        assert len(server.receive(timeout_s=30).data) == limit


def test_unix_and_raw_of_another_host(hosts):
    a, b = hosts
    name = f"unix:@wallsocket-{os.getpid()}"
    with a.unix.listen(name) as listener, a.unix.connect(name, timeout_s=30) as client:
        with listener.accept(timeout_s=30) as server:
            client.messages(framing.LengthPrefixed(1)).send(b"hello")
            assert server.messages(framing.LengthPrefixed(1)).receive(timeout_s=30) == b"hello"
        with pytest.raises(ConnectionRefusedError):  # abstract names belong to a network namespace
            b.unix.connect(name)
    with a.raw.Endpoint("icmp") as endpoint, b.udp.connect((a.address, 9)) as client:
        client.send(b"x")
        with pytest.raises(PortUnreachable):
            client.receive(timeout_s=30)
        endpoint.send(b"\x08\x00\xf7\xff\x00\x00\x00\x00", b.address)  # an echo request: type, code, checksum, number
        answer = endpoint.receive(timeout_s=30)
        assert (answer.source, answer.protocol, answer.payload[:2]) == (b.address, 1, b"\x00\x00")


def test_raw_packets_in_batches(hosts):
    a, b = hosts
    with a.raw.Endpoint(253) as sender, b.raw.Endpoint(253) as receiver:
        wanted = [f"packet {number}".encode() for number in range(150)]
        sender.send_many(((payload, b.address) for payload in wanted), timeout_s=30)
        found = []
        while len(found) < len(wanted):
            batch = receiver.receive_many(100, timeout_s=30)
            assert 1 <= len(batch) <= 100
            found += batch
        assert [packet.payload for packet in found] == wanted
        assert {packet.source for packet in found} == {a.address}
        with pytest.raises(TimeoutError):
            receiver.receive_many(timeout_s=0.01)
        with pytest.raises(UsageError, match="1 to 1024 packets"):
            receiver.receive_many(0)
        # The one that does not fit stops the batch, and those before it have left.
        with pytest.raises(DatagramTooLong) as caught:
            sender.send_many([(b"fits", b.address), (bytes(65536), b.address), (b"never", b.address)], timeout_s=30)
        assert (caught.value.sent, caught.value.length) == (1, 65536)
        assert receiver.receive(timeout_s=30).payload == b"fits"
        with pytest.raises(UsageError, match="'nowhere' is no IPv4 address") as wrong:
            sender.send_many([(b"x", "nowhere")])
        assert wrong.value.sent == 0
        with pytest.raises(WallsocketError):
            sender.send_many([(b"x", None)])
        sender.connect(b.address)
        sender.send_many([(b"to the peer", None)], timeout_s=30)
        assert receiver.receive_many(timeout_s=30)[0].payload == b"to the peer"


def test_nobody_has_that_address(hosts, patient_reasons):
    _, b = hosts
    nobody = b.address.rsplit(".", 1)[0] + ".250"
    with pytest.raises(OSError) as caught:  # EHOSTUNREACH, or the deadline
        b.tcp.connect((nobody, 80), timeout_s=10)
    found = reasons.of(caught.value)
    assert found.cause is not None
    assert found.cause.name in ("neighbour_silent", "no_route")


def test_a_silent_address_does_not_hold_up_the_next_one(hosts, monkeypatch):
    """RFC 8305: the second address is tried beside the first, which nobody answers for."""
    a, b = hosts
    silent = (b.address.rsplit(".", 1)[0] + ".250", 80)
    with a.tcp.listen((a.address, 80)) as listener:

        def both(host, address, kind, **more):
            yield from ()
            return [addresses.Target(2, silent), addresses.Target(2, listener.local)]

        monkeypatch.setattr(addresses, "targets", both)
        # The kernel itself would take three seconds to give the first one up.
        with b.tcp.connect("service:80", stagger_s=0.05, timeout_s=2.5) as client:
            assert client.peer == listener.local


def test_no_route_leads_out(hosts, patient_reasons):
    a, _ = hosts
    with pytest.raises(OSError, match="unreachable") as caught:
        a.tcp.connect("198.51.100.1:80", timeout_s=10)
    assert reasons.of(caught.value).cause.name == "no_route"


def test_multicast_over_a_link(hosts):
    a, b = hosts
    with b.udp.bind("239.7.7.7:7000", reuse_address=True) as member, a.udp.Endpoint() as sender:
        member.join("239.7.7.7", interface="eth0")
        sender.send_multicast(interface="eth0", ttl=1)
        sender.send(b"over the link", ("239.7.7.7", 7000))
        assert member.receive(timeout_s=30).data == b"over the link"


def test_ipv6_multicast_over_a_link_on_a_named_interface():
    group = "ff15::77"
    with network(lab.hosts, "a", "b", ipv6=True) as (a, b):
        six = a.address_on(b, 6)
        with b.udp.bind("[::]:7000") as member, a.udp.Endpoint(ipv6=True) as sender:
            member.join(group, interface="eth0")
            sender.send_multicast(interface="eth0", ttl=1, loop=False)
            sender.send(b"to all", (group, 7000))
            came = member.receive(timeout_s=30)
            assert (came.data, came.peer[0], came.local, came.ttl) == (b"to all", six, group, 1)
            assert came.interface == b.interface_index("eth0")
            member.leave(group, interface="eth0")
            # Source-specific: another sender's datagrams are filtered by the kernel.
            member.join(group, interface="eth0", source=six)
            a.add_address("eth0", "fd00:7::7/64")
            sender.send(b"from another", (group, 7000), source="fd00:7::7", interface="eth0")
            sender.send(b"from the source", (group, 7000), source=six, interface="eth0")
            assert member.receive(timeout_s=30).data == b"from the source"


def test_a_router_answers_for_the_destination(patient_reasons):
    with network(lab.line, 3) as (near, router, far):
        router_address = router.address_on(near)
        with near.udp.connect((far.address, 9)) as client:
            client.ttl = 1
            client.send(b"too far")
            with pytest.raises(IcmpError, match=r"hops \(TTL\) were used up, ICMP type 11 code 0") as caught:
                client.receive(timeout_s=30)
            error = caught.value
            assert (error.destination, error.reporter, error.icmp) == ((far.address, 9), router_address, (11, 0))
            assert error.datagram == b"too far"
            assert reasons.of(error).cause.name == "hops_used_up"
            client.ttl = 2
            client.send(b"x")
            with pytest.raises(PortUnreachable, match="no socket on that port") as caught:
                client.receive(timeout_s=30)
            assert caught.value.reporter == far.address
            assert reasons.of(caught.value).cause.name == "refused_by_peer"
        near.add_route("198.51.100.0/24", via=router)
        for kind, code, number, cause in (
            ("unreachable", 1, "host unreachable", "router_has_no_way"),
            ("prohibit", 13, "administratively prohibited", "prohibited_on_the_way"),
        ):
            router.add_route("198.51.100.0/24", kind=kind)
            with near.udp.connect(("198.51.100.7", 9)) as client:
                client.send(b"lost")
                with pytest.raises(IcmpError, match=f"{router_address} reports .*{number}") as caught:
                    client.receive(timeout_s=30)
                assert caught.value.icmp == (3, code)
                assert reasons.of(caught.value).cause.name == cause
                patient_reasons._recent.clear()


def test_a_firewall_that_rejects_is_named_and_one_that_drops_is_silent(patient_reasons):
    with network(lab.firewall, "reject") as (client_host, firewall, server):
        gate = firewall.address_on(client_host)
        with pytest.raises(ConnectionRefusedError) as caught:
            client_host.tcp.connect((server.address, 81), timeout_s=30)
        assert "or a firewall there refuses it" in str(reasons.of(caught.value))
        with client_host.udp.connect((server.address, 81)) as client:
            client.send(b"x")
            with pytest.raises(PortUnreachable, match="refused on the way") as caught:
                client.receive(timeout_s=30)
            assert caught.value.reporter == gate
            assert reasons.of(caught.value).cause.name == "rejected_on_the_way"
            assert gate in reasons.of(caught.value).cause.sentence
    with network(lab.firewall, "drop") as (client_host, _, server):
        with pytest.raises(DeadlinePassed) as caught:
            client_host.tcp.connect((server.address, 81), timeout_s=0.3)
        # Nothing proves that it is the firewall, and so it is not said.
        assert reasons.of(caught.value).status == "unknown"
        with client_host.udp.connect((server.address, 81)) as client:
            client.send(b"x")
            with pytest.raises(DeadlinePassed):
                client.receive(timeout_s=0.1)


@pytest.mark.parametrize("icmp", [True, False])
def test_a_bottleneck_tells_its_mtu_or_swallows_what_is_longer(icmp):
    with network(lab.mtu_bottleneck, 1400, icmp=icmp) as (near, router, far):
        with far.udp.bind((far.address, 7)) as server, near.udp.connect((far.address, 7)) as client:
            client.options["IP_MTU_DISCOVER"] = 2  # IP_PMTUDISC_DO: never fragment
            assert client.path_mtu == 1500
            client.send(b"x" * 1373)
            if icmp:
                with pytest.raises(DatagramTooLong, match="the limit is 1372 bytes") as caught:
                    client.receive(timeout_s=30)
                assert (caught.value.limit, caught.value.reporter) == (1372, router.address_on(near))
                assert client.path_mtu == 1400
                with pytest.raises(DatagramTooLong, match="1373 bytes is too long .* the limit is 1372") as caught:
                    client.send(b"x" * 1373)
                assert (caught.value.length, caught.value.limit) == (1373, 1372)
            client.send(b"y" * 1372)
            assert server.receive(timeout_s=30).data == b"y" * 1372  # the longer one never came
            assert client.path_mtu == (1400 if icmp else 1500)
            client.options["IP_MTU_DISCOVER"] = 0  # fragments are allowed: everything passes
            client.send(b"z" * 5000)
            assert server.receive(timeout_s=30).data == b"z" * 5000
