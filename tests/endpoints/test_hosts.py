"""Endpoints on hosts of a lab: the socket is made there, in the calling process."""

from __future__ import annotations

import pytest

from wallsocket import lab, reasons, tcp, udp
from wallsocket.errors import DatagramTooLong, WallsocketError
from wallsocket.kernel import Host


class OnLab(Host):
    """A lab host behind the seam."""

    def __init__(self, host):
        self.name = host.name
        self._host = host

    def socket(self, family=2, kind=1, proto=0, /):
        return self._host.socket(family, kind, proto)

    def read_proc(self, path):
        return self._host.run(["cat", f"/proc/{path}"], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def hosts():
    try:
        with lab.hosts("a", "b") as (a, b):
            yield (OnLab(a), a.address), (OnLab(b), b.address)
    except WallsocketError as error:
        pytest.skip(f"no lab here: {error}")


def test_tcp_udp_and_reasons_of_another_host(hosts, patient_reasons):
    (a, address_a), (b, address_b) = hosts
    with tcp.listen((address_a, 80), host=a) as listener, tcp.connect((address_a, 80), host=b, timeout_s=30) as client:
        assert client.peer[0] == address_a
        with listener.accept(timeout_s=30) as accepted:
            assert accepted.peer == client.local
        with pytest.raises(OSError, match="in use") as caught:
            tcp.listen((address_a, 80), host=a)
        assert reasons.of(caught.value).cause.name == "in_use"
        with pytest.raises(ConnectionRefusedError) as caught:
            tcp.connect((address_a, 81), host=b, timeout_s=30)
        assert reasons.of(caught.value).cause.name == "refused_by_peer"
        assert f"on host {b.name}" in caught.value.__notes__[0]
    with udp.bind((address_a, 53), host=a) as server, udp.connect((address_a, 53), host=b) as client:
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


def test_nobody_has_that_address(hosts, patient_reasons):
    _, (b, address_b) = hosts
    network = address_b.rsplit(".", 1)[0]
    with pytest.raises(OSError) as caught:  # EHOSTUNREACH, or the deadline
        tcp.connect((f"{network}.250", 80), host=b, timeout_s=10)
    found = reasons.of(caught.value)
    assert found.cause is not None
    assert found.cause.name in ("neighbour_silent", "no_route")


def test_no_route_leads_out(hosts, patient_reasons):
    (a, _), _ = hosts
    with pytest.raises(OSError, match="unreachable") as caught:
        tcp.connect("198.51.100.1:80", host=a, timeout_s=10)
    assert reasons.of(caught.value).cause.name == "no_route"


def test_multicast_over_a_link(hosts):
    (a, _), (b, _) = hosts
    interface = next(link.name for link in a.links() if not link.is_loopback)
    other = next(link.name for link in b.links() if not link.is_loopback)
    with udp.bind("239.7.7.7:7000", host=b, reuse_address=True) as member, udp.Endpoint(host=a) as sender:
        member.join("239.7.7.7", interface=other)
        sender.send_multicast(interface=interface, ttl=1)
        sender.send(b"over the link", ("239.7.7.7", 7000))
        assert member.receive(timeout_s=30).data == b"over the link"
