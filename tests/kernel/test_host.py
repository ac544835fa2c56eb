"""The seam: what another host has to bring, and what it then can do."""

from __future__ import annotations

import errno
import resource
import socket
import subprocess
from pathlib import Path

import pytest

import wallsocket.kernel
from wallsocket.kernel import Host, counters, disconnect, here


class OtherHost(Host):
    """A host that brings no more than it must; its files are made up."""

    name = "other"

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files
        self.made: list[tuple[int, int, int]] = []

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, proto: int = 0, /) -> socket.socket:
        self.made.append((family, kind, proto))
        return socket.socket(family, kind, proto)

    def read_proc(self, path: str) -> str:
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return self.files[path]


class NamingHost(OtherHost):
    """A host that also knows names."""

    def lookup(self, name: str, family: int) -> list[str]:
        if name != "server":
            return super().lookup(name, family)
        return ["10.1.2.3", "fd00::3"] if family == socket.AF_UNSPEC else ["10.1.2.3"]


def test_every_socket_of_another_host_is_made_by_it() -> None:
    host = OtherHost({})
    host.links()
    host.listeners()
    host.route_to("127.0.0.1")
    assert host.made == [
        (socket.AF_NETLINK, socket.SOCK_RAW, 0),
        (socket.AF_NETLINK, socket.SOCK_RAW, 4),
        (socket.AF_NETLINK, socket.SOCK_RAW, 4),
        (socket.AF_NETLINK, socket.SOCK_RAW, 0),
    ]


def test_settings_come_from_the_host() -> None:
    host = OtherHost(
        {
            "sys/net/core/somaxconn": "17\n",
            "sys/net/ipv4/ip_local_port_range": "1000\t2000\n",
            "sys/net/ipv4/tcp_rmem": "1 2 3\n",
            "sys/net/ipv4/conf/eth0.5/rp_filter": "2\n",
            "sys/net/core/rmem_max": "many\n",
            "net/snmp": "Tcp: InSegs\nTcp: 5\n",
        }
    )
    limits = host.limits()
    assert (limits.accept_queue, limits.port_range, limits.tcp_receive_buffer) == (17, (1000, 2000), (1, 2, 3))
    assert (limits.receive_buffer_max, limits.send_buffer_max, limits.reset_on_full_queue) == (None, None, None)
    assert host.sysctl("net/ipv4/conf/eth0.5/rp_filter") == "2"
    assert host.sysctl("net.no.such") is None
    with pytest.raises(ValueError, match="no kernel setting"):
        host.sysctl("../etc/passwd")
    assert host.counters() == {"TcpInSegs": 5}


def test_limits_of_this_machine() -> None:
    limits = here.limits()
    assert (limits.open_files, limits.open_files_hard) == resource.getrlimit(resource.RLIMIT_NOFILE)
    somaxconn = int(Path("/proc/sys/net/core/somaxconn").read_text())
    assert limits.accept_queue == somaxconn
    assert limits.port_range is not None
    assert limits.port_range[0] < limits.port_range[1]
    assert here.sysctl("net.core.somaxconn") == str(somaxconn)


def test_counters_move_with_what_happens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        before = here.counters()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = closed.getsockname()
        sock.sendto(b"x", nobody)
        changed = counters.difference(before, here.counters())
    assert changed["UdpNoPorts"] >= 1
    assert changed["UdpOutDatagrams"] >= 1


def test_counters_have_the_names_of_nstat() -> None:
    try:
        done = subprocess.run(["nstat", "-asz"], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("nstat (iproute2) is not installed")
    names = {line.split()[0] for line in done.stdout.splitlines() if line and not line.startswith("#")}
    assert names
    # nstat reads /proc/net/sctp and others as well where they are.
    ours = here.counters().keys()
    assert {name for name in names if name.startswith(("Tcp", "Udp", "Ip"))} <= ours


def test_names_and_numbers_are_resolved() -> None:
    assert here.resolve("127.0.0.1", 80, kind=socket.SOCK_STREAM)[0][4] == ("127.0.0.1", 80)
    assert {entry[4][0] for entry in here.resolve("localhost", 80)} <= {"127.0.0.1", "::1"}
    host = NamingHost({})
    found = host.resolve("server", 80, kind=socket.SOCK_STREAM)
    assert [(entry[0], entry[4][:2]) for entry in found] == [
        (socket.AF_INET, ("10.1.2.3", 80)),
        (socket.AF_INET6, ("fd00::3", 80)),
    ]
    assert host.resolve("10.0.0.1", "80", kind=socket.SOCK_DGRAM)[0][4] == ("10.0.0.1", 80)
    assert host.resolve(None, 80, family=socket.AF_INET, kind=socket.SOCK_STREAM, passive=True)[0][4] == ("0.0.0.0", 80)
    assert host.resolve(None, 80, family=socket.AF_INET, kind=socket.SOCK_STREAM)[0][4] == ("127.0.0.1", 80)
    with pytest.raises(socket.gaierror, match="looks up no names"):
        host.resolve("elsewhere", 80)


def test_zones_are_the_hosts_own() -> None:
    number = socket.if_nametoindex("lo")
    host = OtherHost({})
    for zone in ("lo", str(number)):
        (entry,) = host.resolve(f"fe80::1%{zone}", 80, kind=socket.SOCK_STREAM)
        assert entry[4] == ("fe80::1", 80, 0, number)
    with pytest.raises(OSError, match="host other has no interface 'eth99'") as error:
        host.resolve("fe80::1%eth99", 80)
    assert error.value.errno == errno.ENODEV


def test_facts_are_one_picture() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        facts = here.facts()
        assert facts.listeners is not None
        assert sock.getsockname()[1] in [row.local.port for row in facts.listeners]
        assert facts.links is not None
        assert "lo" in [link.name for link in facts.links]
        assert facts.unknown == {}


def test_what_cannot_be_read_is_unknown() -> None:
    class Refusing(OtherHost):
        def socket(self, *arguments: int) -> socket.socket:
            raise PermissionError(errno.EACCES, "Permission denied")

    facts = Refusing({}).facts()
    assert (facts.listeners, facts.routes) == (None, None)
    assert set(facts.unknown) == {"listeners", "links", "addresses", "routes", "neighbours"}
    assert "Permission denied" in facts.unknown["listeners"]


def test_errors_carry_their_number() -> None:
    with pytest.raises(OSError, match=r"Network is unreachable|No route|Invalid argument") as error:
        # 240.0.0.0/4 is reserved: no kernel routes it without a default route, and none to an interface that is down.
        here.route_to("0.0.0.1", interface=socket.if_nametoindex("lo"), source="203.0.113.77")
    assert error.value.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL)


def test_a_datagram_socket_is_disconnected() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", 9))
        disconnect(sock)
        with pytest.raises(OSError, match="not connected"):
            sock.getpeername()
    with pytest.raises(OSError, match="Bad file descriptor"):
        disconnect(-1)


def test_public_names() -> None:
    assert sorted(wallsocket.kernel.__all__) == wallsocket.kernel.__all__
    for name in wallsocket.kernel.__all__:
        assert getattr(wallsocket.kernel, name) is not None
