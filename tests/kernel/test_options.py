"""The table of socket options against the running kernel."""

from __future__ import annotations

import errno
import json
import re
import socket
import struct
import subprocess
import sys
from typing import Any

import pytest

from tests.support import repository
from wallsocket.errors import UsageError
from wallsocket.kernel import options

#: What the kernel may answer where the condition that the table names does not hold in the walk.
READ_REFUSALS = {
    "SO_PEERSEC": {errno.ENOPROTOOPT},
    "SO_ORIGINAL_DST": {errno.ENOENT, errno.ENOPROTOOPT},
    "IP6T_SO_ORIGINAL_DST": {errno.ENOENT, errno.ENOPROTOOPT},
    "IP_MSFILTER": {errno.EINVAL, errno.EADDRNOTAVAIL},
    "MCAST_MSFILTER": {errno.EINVAL, errno.EADDRNOTAVAIL},
    "MCAST_MSFILTER_IPV6": {errno.EINVAL, errno.EADDRNOTAVAIL},
    "TCP_AO_INFO": {errno.ENOPROTOOPT, errno.ENOENT, errno.EINVAL},
    "TCP_AO_GET_KEYS": {errno.ENOPROTOOPT, errno.ENOENT, errno.EINVAL},
    "TCP_AO_REPAIR": {errno.ENOPROTOOPT, errno.ENOENT, errno.EPERM, errno.EINVAL},
    "IPV6_ADDRFORM": {errno.ENOTCONN},
    "IPV6_FLOWLABEL_MGR": {errno.ENOENT},
    "IPV6_ROUTER_ALERT": {errno.ENOPROTOOPT, errno.EINVAL},
    "PACKET_COPY_THRESH": {errno.ENOPROTOOPT},
    "UDPLITE_SEND_CSCOV": {errno.ENOPROTOOPT},
    "UDPLITE_RECV_CSCOV": {errno.ENOPROTOOPT},
    "TLS_TX": {errno.EOPNOTSUPP, errno.ENOPROTOOPT},
    "TLS_RX": {errno.EOPNOTSUPP, errno.ENOPROTOOPT},
    "TLS_TX_ZEROCOPY_RO": {errno.EOPNOTSUPP, errno.ENOPROTOOPT},
    "TLS_RX_EXPECT_NO_PAD": {errno.EOPNOTSUPP, errno.ENOPROTOOPT},
    "MPTCP_TCPINFO": {errno.EINVAL},
    "MPTCP_SUBFLOW_ADDRS": {errno.EINVAL},
    "MPTCP_FULL_INFO": {errno.EINVAL},
    "SO_VM_SOCKETS_PEER_HOST_VM_ID": {errno.ENOPROTOOPT},
    "SO_VM_SOCKETS_TRUSTED": {errno.ENOPROTOOPT},
    "SO_VM_SOCKETS_NONBLOCK_TXRX": {errno.ENOPROTOOPT},
}
SET_REFUSALS = {
    "SO_ATTACH_FILTER": {errno.EINVAL},
    "SO_RESERVE_MEM": {errno.EOPNOTSUPP},
    "TCP_ULP": {errno.ENOENT, errno.ENOTCONN},
    "IPV6_JOIN_ANYCAST": {errno.EADDRNOTAVAIL},
    "IPV6_LEAVE_ANYCAST": {errno.EADDRNOTAVAIL},
}
NO_SOCKET = {"alg", "vsock", "mptcp"}

#: Never tried by the walk: they take keys, programs or device memory. Each names its condition or permission.
NOT_TRIED = {
    "SO_DETACH_FILTER",
    "SO_ATTACH_BPF",
    "SO_ATTACH_REUSEPORT_CBPF",
    "SO_ATTACH_REUSEPORT_EBPF",
    "SO_DETACH_REUSEPORT_BPF",
    "SO_DEVMEM_DONTNEED",
    "IP_IPSEC_POLICY",
    "IP_XFRM_POLICY",
    "IPV6_IPSEC_POLICY",
    "IPV6_XFRM_POLICY",
    "TCP_MD5SIG",
    "TCP_MD5SIG_EXT",
    "TCP_REPAIR_OPTIONS",
    "TCP_AO_ADD_KEY",
    "TCP_AO_DEL_KEY",
    "PACKET_FANOUT_DATA",
    "ALG_SET_KEY",
    "ALG_SET_AEAD_AUTHSIZE",
}


@pytest.fixture(scope="module")
def walk() -> dict[str, Any]:
    """What became of every option in a network namespace of its own."""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-m", "tests.kernel.option_walk"],
        cwd=repository.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "unshare failed" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    walked: dict[str, Any] = json.loads(done.stdout)
    return walked


def newer_than(walk: dict[str, Any], option: options.SocketOption) -> bool:
    release = tuple(int(number) for number in re.findall(r"\d+", walk["release"])[:2])
    return option.since is not None and option.since > release


def test_every_option_can_be_read_as_the_table_says(walk: dict[str, Any]) -> None:
    wrong = []
    for result in walk["results"]:
        option = options.named(result["name"])
        refusal = result.get("read_errno")
        if refusal is None or (newer_than(walk, option) and refusal == errno.ENOPROTOOPT):
            continue
        unconnected = result["kind"] == "vsock" and option.when == "when connected"
        allowed = READ_REFUSALS.get(option.name, set()) | ({errno.ENOTCONN} if unconnected else set())
        if refusal not in allowed or not (option.condition or unconnected):
            wrong.append(f"{option.name} on {result['kind']}: {errno.errorcode[refusal]}")
    assert not wrong


def test_every_option_can_be_set_as_the_table_says(walk: dict[str, Any]) -> None:
    wrong = []
    for result in walk["results"]:
        option = options.named(result["name"])
        for key in ("set_errno", "toggle_errno"):
            refusal = result.get(key)
            if refusal is None or (newer_than(walk, option) and refusal == errno.ENOPROTOOPT):
                continue
            # The walk has every permission in its own namespaces, and none of the machine's.
            beyond = refusal in (errno.EPERM, errno.EACCES) and "of the machine" in option.privilege
            if not beyond and (refusal not in SET_REFUSALS.get(option.name, set()) or not option.condition):
                wrong.append(f"{option.name} on {result['kind']}: {key} {errno.errorcode[refusal]}")
        if result.get("toggled") is False and not option.condition.startswith("ignored"):
            wrong.append(f"{option.name} on {result['kind']}: switching it had no effect")
    assert not wrong


def test_what_was_not_tried_is_known(walk: dict[str, Any]) -> None:
    tried = {"read", "set", "read_errno", "set_errno"}
    missed = {result["name"] for result in walk["results"] if not tried & result.keys()}
    assert missed <= NOT_TRIED
    for name in NOT_TRIED:
        option = options.named(name)
        assert option.condition or option.privilege or option.secret, name
    without = {result["kind"] for result in walk["results"] if "no_socket" in result}
    assert without <= NO_SOCKET


def test_nothing_that_the_kernel_lets_be_read_is_missing(walk: dict[str, Any]) -> None:
    assert walk["unlisted"] == []


def test_most_of_a_tcp_socket_can_be_read(walk: dict[str, Any]) -> None:
    read = {result["name"] for result in walk["results"] if result["kind"] == "tcp" and "read" in result}
    by_level = {level: sum(options.named(name).level == level for name in read) for level in (0, 1, 6)}
    assert by_level[1] >= 48
    assert by_level[0] >= 20
    assert by_level[6] >= 30


def test_numbers_agree_with_python() -> None:
    compared = 0
    for option in options.table():
        number = getattr(socket, option.name, None)
        if number is not None and option.level != socket.SOL_TLS if hasattr(socket, "SOL_TLS") else number is not None:
            assert option.number == number, option.name
            compared += 1
    assert compared > 60


def test_reading_and_setting_by_name() -> None:
    with socket.socket() as sock:
        options.put(sock, "so_rcvtimeo", 2.5)
        assert options.get(sock, "SO_RCVTIMEO").value == 2.5
        assert struct.unpack("ll", sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)) == (2, 500000)
        options.put(sock, "SO_RCVTIMEO", None)
        assert options.get(sock, "SO_RCVTIMEO").text == "no limit"
        options.put(sock, "SO_LINGER", {"on": True, "seconds": 5})
        assert options.get(sock, "SO_LINGER").value == {"on": True, "seconds": 5}
        options.put(sock, "IP_MTU_DISCOVER", "PMTUDISC_DO")
        assert sock.getsockopt(socket.IPPROTO_IP, 10) == 2
        assert options.get(sock, "IP_MTU_DISCOVER").text == "PMTUDISC_DO"
        options.put(sock, "SO_SNDBUF", 5000)
        assert options.get(sock, "SO_SNDBUF").text == "10000 bytes"
        assert options.get(sock, "SO_TYPE").text == "SOCK_STREAM"
        assert options.get(sock, "SO_COOKIE").value > 0
        assert options.get(sock, "SO_MEMINFO").value["drops"] == 0


def test_the_peers_name_of_every_family() -> None:
    for family, local in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as listener:
            try:
                listener.bind((local, 0))
            except OSError:
                continue
            listener.listen()
            with socket.socket(family) as client:
                client.connect(listener.getsockname())
                peer = options.get(client, "SO_PEERNAME").value
                assert (peer.host, peer.port) == client.getpeername()[:2]
    near, far = socket.socketpair()
    with near, far:
        assert str(options.get(near, "SO_PEERNAME").value) == "unix:"


def test_memberships_as_structs() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        loopback = socket.if_nametoindex("lo")
        options.put(sock, "IP_ADD_MEMBERSHIP", {"group": "239.3.2.1", "interface": loopback})
        with open("/proc/net/igmp") as file:
            # The kernel prints the group's bytes in the order of the machine.
            assert struct.pack("=I", struct.unpack(">I", socket.inet_aton("239.3.2.1"))[0]).hex().upper() in file.read()
        options.put(sock, "IP_MULTICAST_IF", "127.0.0.1")
        assert options.get(sock, "IP_MULTICAST_IF").value == "127.0.0.1"


def test_wrong_use_is_one_clear_line() -> None:
    with socket.socket() as sock:
        for name, value, says in (
            ("SO_RCVBUFF", 1, "did you mean SO_RCVBUF"),
            ("SO_TYPE", 1, "it can only be read"),
            ("SO_RCVBUF", "big", "takes a number of 32 bits"),
            ("SO_RCVBUF", object(), "takes no <class 'object'>"),
            ("SO_RCVTIMEO", -1, "seconds from 0"),
            ("SO_RCVTIMEO", float("nan"), "seconds from 0"),
            ("SO_LINGER", {"off": 1}, "has no member"),
            ("IP_MTU_DISCOVER", "SOMETIMES", "one of its names"),
            ("IP_ADD_MEMBERSHIP", {"group": "no address"}, "IPv4 addresses"),
        ):
            with pytest.raises(UsageError, match=says):
                options.put(sock, name, value)
        with pytest.raises(UsageError, match="can only be set"):
            options.get(sock, "SO_RCVBUFFORCE")
        with pytest.raises(OSError) as refused:
            options.get(sock, "IPV6_V6ONLY")
        assert refused.value.errno in (errno.ENOPROTOOPT, errno.EOPNOTSUPP)


def test_keys_are_never_shown() -> None:
    secret = [option for option in options.table() if option.secret]
    assert {"TCP_MD5SIG", "TCP_FASTOPEN_KEY", "TLS_TX", "ALG_SET_KEY"} <= {option.name for option in secret}
    for option in secret:
        value, text = option.decode(b"hunter2hunter2")
        assert value is None
        assert "hunter2" not in text
        assert b"hunter2".hex() not in text


def test_the_table_speaks_in_sentences() -> None:
    for option in options.table():
        assert re.fullmatch(r"[A-Z1].*\.", option.meaning), option.name
        assert len(option.meaning) <= 160, option.name
        assert option.readable or option.settable
        assert option.applies
