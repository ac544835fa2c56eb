"""UDP endpoints against the real kernel."""

from __future__ import annotations

import socket
import threading

import pytest

from wallsocket import udp
from wallsocket.errors import (
    DatagramTooLong,
    DeadlinePassed,
    IcmpError,
    PortUnreachable,
    TruncatedDatagram,
    UsageError,
    WouldBlock,
    WrongState,
)


@pytest.fixture
def server():
    with udp.bind("127.0.0.1:0") as server:
        yield server


def until(fact, timeout_s=20):
    done = threading.Event()
    waited = 0.0
    while not fact():
        assert waited < timeout_s, "the kernel did not get there"
        done.wait(0.01)
        waited += 0.01


def test_the_lectures_order_of_calls(server):
    client = udp.Endpoint()
    assert (client.state, client.kernel_state) == ("created", "unhashed")
    client.send(b"hello", server.local)
    assert (client.state, client.kernel_state) == ("bound", "CLOSE")
    request = server.receive(timeout_s=10)
    assert request.data == b"hello"
    server.send(request.data.upper(), request.peer)
    assert client.receive(timeout_s=10).data == b"HELLO"
    client.close()
    assert (client.state, client.kernel_state) == ("closed", "none")


def test_connecting_and_back(server):
    with udp.bind("127.0.0.1:0") as other:
        port = other.local[1]
    with udp.bind(("127.0.0.1", port)) as client:
        client.connect(server.local)
        assert (client.state, client.kernel_state, client.peer) == ("connected", "ESTABLISHED", server.local)
        with udp.Endpoint() as stranger:
            stranger.send(b"filtered", client.local)
        with pytest.raises(DeadlinePassed):
            client.receive(timeout_s=0.05)
        client.disconnect()
        assert (client.state, client.peer, client.local[1]) == ("bound", None, port)
        with pytest.raises(WrongState, match="EDESTADDRREQ.*to="):
            client.send(b"whereto")


def test_wrong_states(server):
    with udp.Endpoint() as fresh:
        with pytest.raises(WrongState, match="no peer"):
            fresh.send(b"x")
        with pytest.raises(WrongState, match="no peer"):
            fresh.finish_sending()
    with pytest.raises(WrongState, match="has an address already"):
        server.bind("127.0.0.1:0")
    with udp.connect(server.local) as client:
        client.finish_sending()
        assert client.state == "sending finished"
        with pytest.raises(WrongState, match="EPIPE"):
            client.send(b"x")


def test_sizes(server):
    with udp.connect(server.local) as client:
        for size in (0, 1, 65507):
            client.send(b"x" * size)
            assert len(server.receive(timeout_s=10).data) == size
        with pytest.raises(DatagramTooLong, match="carries at most 65507") as caught:
            client.send(b"x" * 65508)
        assert (caught.value.length, caught.value.limit) == (65508, 65507)
        assert client.state == "connected"
    with udp.bind("[::1]:0") as six, udp.connect(six.local) as client:
        client.send(b"x" * 65487)  # loopback's MTU of 65536 less both headers
        assert len(six.receive(timeout_s=10).data) == 65487
        with pytest.raises(DatagramTooLong, match="at most 65527"):
            client.send(b"x" * 65528)


def test_truncation_with_and_without_details(server):
    with udp.connect(server.local) as client:
        for details in (False, True):
            server.collect_details(details)
            client.send(b"0123456789")
            with pytest.raises(TruncatedDatagram, match="10 bytes .* max_bytes=4; 6 bytes are lost") as caught:
                server.receive(4, timeout_s=10)
            assert (caught.value.length, caught.value.data, caught.value.peer) == (10, b"0123", client.local)


def test_port_unreachable_names_datagram_and_reporter(server):
    address = server.local
    with udp.connect(address) as client:
        server.close()
        client.send(b"lost")
        until(lambda: client.state == "error pending")
        with pytest.raises(PortUnreachable, match="no socket on that port") as caught:
            client.receive(timeout_s=10)
        error = caught.value
        assert isinstance(error, ConnectionRefusedError)
        assert isinstance(error, IcmpError)
        assert (error.destination, error.reporter, error.icmp, error.datagram) == (
            address,
            "127.0.0.1",
            (3, 3),
            b"lost",
        )
        assert client.state == "connected"


def test_port_unreachable_without_the_error_queue(server):
    address = server.local
    with udp.connect(address, icmp_errors=False) as client:
        server.close()
        client.send(b"lost")
        until(lambda: client.state == "error pending")
        with pytest.raises(PortUnreachable):
            client.send(b"again")


def test_an_unconnected_endpoint_hears_of_errors_when_asked(server):
    address = server.local
    server.close()
    with udp.Endpoint() as client:
        client.collect_icmp_errors()
        client.send(b"one", address)
        with pytest.raises(PortUnreachable) as caught:
            client.receive(timeout_s=10)
        assert caught.value.destination == address


def test_replies_come_from_the_address_that_was_asked():
    with udp.bind(":0") as server:
        port = server.local[1]
        for address in ("127.0.0.1", "127.7.7.7"):
            with udp.connect((address, port)) as client:
                client.send(b"question")
                request = server.receive(timeout_s=10)
                assert (request.local, request.ttl) == (address, 64)
                assert request.interface == socket.if_nametoindex("lo")
                server.reply(request, b"answer")
                assert client.receive(timeout_s=10).data == b"answer"


def test_both_families_on_one_endpoint():
    with udp.bind("[::]:0", ipv6_only=False) as server:
        for address in ("127.0.0.1", "::1"):
            with udp.connect((address, server.local[1])) as client:
                client.send(b"question")
                request = server.receive(timeout_s=10)
                assert request.local.endswith(address)
                assert request.ttl == 64
                server.reply(request, b"answer")
                assert client.receive(timeout_s=10).data == b"answer"


def test_drops_are_counted(server):
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server.collect_details()
    with udp.connect(server.local) as client:
        for _ in range(100):
            client.send(b"x" * 1000)
        until(lambda: server.dropped > 0)
        dropped = server.dropped
        taken = len(server.receive_many(1000, timeout_s=10))
        assert taken + dropped == 100
        client.send(b"after")
        assert server.receive(timeout_s=10).dropped == dropped


def test_batches(server):
    with udp.connect(server.local) as client:
        sent = [b"x" * 500] * 40 + [b"y" * 100, b"", b"z" * 3]
        for coalesce in (False, True):
            server.coalesce(coalesce)
            assert client.send_many(sent) == len(sent)
            received = []
            while len(received) < len(sent):
                received += server.receive_many(7, timeout_s=10)
            assert [datagram.data for datagram in received] == sent
            assert all(datagram.peer == client.local for datagram in received)


def test_segments_are_one_system_call_and_arrive_as_datagrams(server):
    with udp.connect(server.local) as client:
        calls = []
        real = client.socket.sendmsg

        class Counting:
            def __getattr__(self, name):
                return getattr(real.__self__, name)

            def sendmsg(self, *arguments):
                calls.append(arguments)
                return real(*arguments)

        counted = udp.Endpoint(Counting(), state="connected")
        counted.send_many([b"x" * 100] * 64)
        assert len(calls) == 1
        assert len(server.receive_many(64, timeout_s=10)) == 64


def test_multicast_any_source_and_source_specific():
    group = "239.255.77.1"
    with udp.bind(f"{group}:0", reuse_address=True) as member, udp.Endpoint() as sender:
        port = member.local[1]
        sender.send_multicast(interface="lo", ttl=1, loop=True)
        member.join(group, interface="lo")
        sender.send(b"to all", (group, port))
        assert member.receive(timeout_s=10).data == b"to all"
        member.leave(group, interface="lo")
        member.join(group, interface="lo", source="127.0.0.5")
        sender.send(b"from another", (group, port), source="127.0.0.6", interface="lo")
        sender.send(b"from the source", (group, port), source="127.0.0.5", interface="lo")
        assert member.receive(timeout_s=10).data == b"from the source"
        member.leave(group, interface="lo", source="127.0.0.5")
        with pytest.raises(UsageError, match="no multicast address"):
            member.join("10.0.0.1")
        with pytest.raises(UsageError, match="is IPv6"):
            member.join("ff15::1")


def test_ttl_and_broadcast(server):
    with udp.connect(server.local) as client:
        client.ttl = 5
        assert client.ttl == 5
        server.collect_details()
        client.send(b"x")
        assert server.receive(timeout_s=10).ttl == 5
        with pytest.raises(UsageError, match="1 to 255"):
            client.ttl = 0
        assert not client.broadcast
        client.broadcast = True
        assert client.broadcast


def test_modes_and_wrong_arguments(server):
    with pytest.raises(WouldBlock):
        server.receive(timeout_s=0)
    with pytest.raises(UsageError, match="encode it"):
        server.send("text", server.local)
    with pytest.raises(UsageError, match="has no port"):
        server.send(b"x", "127.0.0.1")
    with pytest.raises(UsageError, match="IPv6 address, but this endpoint is IPv4"):
        server.send(b"x", "[::1]:5")
    with pytest.raises(UsageError, match="max_bytes"):
        server.receive(0)
    with pytest.raises(UsageError, match="source"):
        server.send(b"x", server.local, source="::1")


def test_a_flood_is_bounded(server):
    """What is not received stays in the kernel's buffer; nothing of ours grows."""
    with udp.connect(server.local) as client:
        for _ in range(3000):
            client.send(b"x" * 1400)
        assert len(server._queue) == 0
        assert len(server.receive_many(10, timeout_s=10)) == 10
        assert len(server._queue) == 0


def test_many_peers_do_not_grow_the_address_cache(server):
    for port in range(1, 3000):
        server.send(b"", ("127.0.0.1", 40000 + port))
    assert len(server._known) <= 1024
