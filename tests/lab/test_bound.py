"""``a.udp``, ``a.tcp``, ``a.unix``, ``a.raw``, ``a.aio``, ``a.wire``, ``a.capture``: our own endpoints and wire in a host."""

from __future__ import annotations

import inspect
import itertools
import socket
from types import ModuleType

import anyio
import pytest

from wallsocket import aio, lab, raw, tcp, udp, unix, wire
from wallsocket.errors import UsageError
from wallsocket.lab import bound


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (udp, bound.Udp),
        (tcp, bound.Tcp),
        (unix, bound.Unix),
        (raw, bound.Raw),
        (wire, bound.Wire),
        (aio.udp, bound.AioUdp),
        (aio.tcp, bound.AioTcp),
        (aio.unix, bound.AioUnix),
        (aio.raw, bound.AioRaw),
    ],
)
def test_whatever_takes_a_host_is_there(module: ModuleType, kind: type) -> None:
    public = {name: getattr(module, name) for name in module.__all__}
    # Capture is what capture() makes; nobody calls it.
    takes = {name for name, value in public.items() if callable(value) and _takes_host(value)} - {"Capture"}
    assert {name for name in vars(kind) if not name.startswith("_")} == takes


def _takes_host(function: object) -> bool:
    try:
        return "host" in inspect.signature(function).parameters  # type: ignore[arg-type]
    except ValueError:
        # A class of the core without a signature.
        return False


def test_each_kind_of_socket_of_a_host() -> None:
    with lab.hosts("a", "b") as (a, b):
        with b.udp.bind(":53") as service, a.udp.connect("b:53") as client:
            client.send(b"question")
            datagram = service.receive()
            service.reply(datagram, datagram.data.upper())
            assert client.receive().data == b"QUESTION"
        with b.tcp.listen(":80") as listener, a.tcp.connect("b:80") as connection, listener.accept() as accepted:
            connection.send(b"over tcp")
            assert accepted.receive(100) == b"over tcp"
        # Both hosts have the name; each host finds its own.
        with a.unix.listen("unix:@same") as first, b.unix.listen("unix:@same"):
            with a.unix.connect("unix:@same") as one, first.accept() as other:
                one.send(b"near")
                assert other.receive(10) == b"near"
        # To a port without a socket: the answer is an ICMP message to the sender.
        with b.raw.Endpoint("icmp") as answers, b.socket(type=socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", (a.address, 9))
            assert answers.receive(timeout_s=10).source == a.address
        assert repr(a.raw) == "<Raw of host a>"


def test_errors_come_from_the_host() -> None:
    with lab.hosts("a", "b") as (a, b):
        with pytest.raises(ConnectionRefusedError) as caught:
            a.tcp.connect("b:80", timeout_s=20)
        assert any(b.address in note for note in caught.value.__notes__)
        with pytest.raises(UsageError):
            a.tcp.connect("nowhere")
        with pytest.raises(TypeError):
            a.udp.bind(":1", nonsense=True)  # type: ignore[call-arg]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_each_kind_of_asynchronous_socket_of_a_host(backend: str) -> None:
    async def talk(a: lab.Host, b: lab.Host) -> None:
        async with await b.aio.udp.bind(":53") as service, await a.aio.udp.connect("b:53") as client:
            await client.send(b"question")
            datagram = await service.receive()
            await service.reply(datagram, b"answer")
            assert (await client.receive()).data == b"answer"
        async with await b.aio.tcp.listen(":80") as listener, await a.aio.tcp.connect("b:80") as connection:
            async with await listener.accept() as accepted:
                await connection.send_all(b"over tcp")
                assert await accepted.receive() == b"over tcp"
        async with await a.aio.unix.listen("unix:@name") as listening, await a.aio.unix.connect("unix:@name") as near:
            async with await listening.accept() as far:
                await near.send_all(b"near")
                assert await far.receive() == b"near"
        async with b.aio.raw.Endpoint("icmp") as answers:
            await anyio.to_thread.run_sync(lambda: send_to_nobody(b, a))
            assert (await answers.receive()).source == a.address

    def send_to_nobody(sender: lab.Host, receiver: lab.Host) -> None:
        with sender.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.sendto(b"x", (receiver.address, 9))

    with lab.hosts("a", "b") as (a, b):
        anyio.run(talk, a, b, backend=backend)


def test_the_wire_of_a_host() -> None:
    with lab.hosts("a", "b", "c") as (a, b, c):
        with c.capture("eth0", filter="udp", promiscuous=True, latency_s=0.001) as elsewhere:
            with b.capture("eth0", filter="udp port 53", direction="in") as capture:
                with b.udp.bind(":53") as service, a.udp.connect("b:53") as client:
                    for number in range(3):
                        client.send(b"%d" % number)
                        service.reply(service.receive(), b"not seen: it leaves")
                frames = [frame.payload for frame in itertools.islice(capture, 3)]
            assert frames == [b"0", b"1", b"2"]
            # By the questions for addresses the switch has learnt where the two are: the third sees nothing of them.
            assert elsewhere.read(0) == []
        with a.wire.ping("b", count=2, interval_s=0.01, timeout_s=10) as running:
            assert [reply.address for reply in running] == [b.address] * 2
        assert [hop.addresses for hop in a.wire.traceroute("c", probes=1, timeout_s=10)] == [[c.address]]
        assert {found.address for found in a.wire.arp([b.address or "", c.address or ""])} == {b.address, c.address}
        with pytest.raises(UsageError, match="eth9"):
            a.capture("eth9")


def test_a_link_is_captured_at_the_end_that_is_a_host() -> None:
    with lab.Lab() as net:
        a, b = net.host("a"), net.host("b")
        net.switch("s", b)
        with net.link("s", a).capture(filter="icmp", latency_s=0.001) as capture:
            a.run(["ping", "-n", "-c", "1", "-W", "10", b.address or ""], check=True, capture_output=True)
            kinds = [(frame.icmp.type if frame.icmp else None, frame.inbound) for frame in itertools.islice(capture, 2)]
        assert kinds == [(8, False), (0, True)]
