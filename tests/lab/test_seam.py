"""A lab's host as :class:`wallsocket.kernel.Host`: names, netlink and the kernel's facts are those of its own network."""

from __future__ import annotations

import itertools
import socket

import pytest

from wallsocket import kernel, lab


def test_a_lab_host_is_a_host() -> None:
    with lab.hosts("a", "b") as (a, b):
        assert isinstance(a, kernel.Host)
        assert a.name == "a"
        assert [link.name for link in a.links()] == ["lo", "eth0"]
        assert a.interface_index("eth0") == a.interfaces[0].index
        assert a.address in [str(address.address) for address in a.addresses()]
        assert a.route_to(b.address or "").interface == a.interfaces[0].index
        with pytest.raises(OSError, match="it has: lo, eth0"):
            a.interface_index("eth7")


def test_names_of_the_lab_resolve_in_this_process() -> None:
    with lab.hosts("a", "b", ipv6=True) as (a, b):
        found = a.resolve("b", 80, kind=socket.SOCK_STREAM)
        assert [entry[4][:2] for entry in found] == [(b.address, 80), (b.address_on(a, 6), 80)]
        assert a.resolve("b", 80, family=socket.AF_INET6, kind=socket.SOCK_STREAM)[0][0] == socket.AF_INET6
        assert a.resolve("localhost", 80, family=socket.AF_INET, kind=socket.SOCK_STREAM)[0][4] == ("127.0.0.1", 80)
        with pytest.raises(socket.gaierror):
            a.resolve("nobody", 80)
    with lab.hosts("a", "b") as (a, _), pytest.raises(socket.gaierror):
        a.resolve("b", 80, family=socket.AF_INET6)


def test_sockets_and_counters_are_of_the_host_alone() -> None:
    with lab.hosts("a", "b") as (a, b), b.socket() as listener, a.socket(type=socket.SOCK_DGRAM) as sender:
        listener.bind(("0.0.0.0", 80))
        listener.listen(7)
        assert len(b.listeners(80)) == 1
        assert a.listeners(80) == []
        before = b.counters()
        sender.sendto(b"to nobody", (b.address, 9))
        with pytest.raises(ConnectionRefusedError):
            sender.connect((b.address, 9))
            sender.send(b"again")
            sender.recv(1)
        after = b.counters()
        unwanted = [name for name in after if name.endswith("NoPorts")]
        assert sum(after[name] - before[name] for name in unwanted) == 2
        assert b.facts().listeners


def test_proc_is_that_of_the_host_where_it_is_about_the_network() -> None:
    with lab.hosts("a", "b") as (a, _):
        assert "eth0" in a.read_proc("net/dev")
        assert a.read_proc("sys/net/ipv4/ip_unprivileged_port_start") == "0\n"
        assert a.read_proc("sys/kernel/ostype") == "Linux\n"
        for path in ("net/no_such", "net/../version", "net//dev"):
            with pytest.raises(FileNotFoundError):
                a.read_proc(path)


def test_endpoints_and_captures_of_a_host() -> None:
    with lab.hosts("a", "b") as (a, b), b.capture("eth0", filter="udp port 53") as capture:
        with b.udp.bind(":53") as service, a.udp.connect("b:53") as client:
            client.send(b"question")
            datagram = service.receive()
            assert datagram.data == b"question"
            service.reply(datagram, b"answer")
            assert client.receive().data == b"answer"
        with b.tcp.listen(":80") as listener, a.tcp.connect("b:80") as connection:
            accepted = listener.accept()
            connection.send(b"over tcp")
            assert accepted.receive(100) == b"over tcp"
            accepted.close()
        payloads = [frame.payload for frame in itertools.islice(capture, 2)]
        assert payloads == [b"question", b"answer"]
