"""One decoder of socket addresses: laws, and the addresses that the kernel really gives."""

from __future__ import annotations

import os
import socket
import struct
import sys
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.lines import is_one_line
from wallsocket.kernel import Address, names, options
from wallsocket.kernel.address import from_python, place_of, to_python

inet = st.tuples(st.ip_addresses(v=4).map(str), st.integers(0, 65535))
inet6 = st.tuples(
    st.ip_addresses(v=6).map(lambda address: socket.inet_ntop(socket.AF_INET6, address.packed)),
    st.integers(0, 65535),
    st.integers(0, 2**20 - 1),
    st.integers(0, 2**32 - 1),
)
paths = st.binary(min_size=1, max_size=108).filter(lambda path: 0 not in path)


@given(st.one_of(inet.map(lambda a: (socket.AF_INET, a)), inet6.map(lambda a: (socket.AF_INET6, a))))
def test_internet_addresses_come_back(given_address: tuple[int, tuple[object, ...]]) -> None:
    family, sockaddr = given_address
    address = from_python(family, sockaddr)
    assert to_python(address) == sockaddr
    assert Address.decode(address.encode()) == address
    assert Address.parse(str(address)) == address
    assert hash(Address.parse(str(address))) == hash(address)
    assert (address.family, address.host, address.port) == (family, sockaddr[0], sockaddr[1])


@given(st.one_of(paths, st.binary(max_size=107).map(lambda name: b"\0" + name)))
def test_unix_names_come_back(name: bytes) -> None:
    address = from_python(socket.AF_UNIX, name)
    assert to_python(address) == name
    assert Address.decode(address.encode()) == address
    assert Address.parse(str(address)) == address
    assert is_one_line(str(address))


@given(st.binary(max_size=140))
def test_any_bytes_decode(data: bytes) -> None:
    address = Address.decode(data)
    assert str(address)
    assert names.address(data) == str(address)
    assert Address.decode(address.encode()) == address


@given(st.text(max_size=40))
def test_any_text_parses_or_says_why(text: str) -> None:
    try:
        address = Address.parse(text)
    except ValueError as error:
        assert "is no socket address" in str(error)
    else:
        assert Address.parse(str(address)) == address


def test_abstract_and_path_names_differ() -> None:
    path = from_python(socket.AF_UNIX, "@name")
    abstract = from_python(socket.AF_UNIX, "\0name")
    assert str(path) == "unix:\\x40name"
    assert str(abstract) == "unix:@name"
    assert (path.path, path.abstract_name) == (b"@name", None)
    assert (abstract.path, abstract.abstract_name) == (None, b"name")


def test_the_kernels_own_bytes() -> None:
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        peer = options.get(client, "SO_PEERNAME").value
        assert str(peer) == f"127.0.0.1:{listener.getsockname()[1]}"
        assert to_python(peer) == client.getpeername()
    name = f"wallsocket-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind("\0" + name)
        listener.listen()
        client.connect("\0" + name)
        assert str(options.get(client, "SO_PEERNAME").value) == f"unix:@{name}"
        assert from_python(socket.AF_UNIX, listener.getsockname()).abstract_name == name.encode()


def test_netlink_and_packet() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.bind((0, 0))
        assert str(from_python(socket.AF_NETLINK, sock.getsockname())) == f"netlink:{sock.getsockname()[0]}/0"
    assert to_python(Address.parse("netlink:7/0x3")) == (7, 3)
    # struct sockaddr_ll: Ethernet type 0x0800 on interface 3, to Ethernet address 02:…:09
    data = struct.pack("=H2sIHBB6s", 17, b"\x08\x00", 3, 1, 0, 6, b"\2\0\0\0\0\x09")
    address = Address.decode(data)
    assert str(address) == "packet:if3/0x0800/02:00:00:00:00:09"
    assert address.interface == 3


def test_what_has_no_form_in_python_says_so() -> None:
    with pytest.raises(ValueError, match="no form"):
        to_python(Address.parse("packet:if3/0x0003"))
    with pytest.raises(ValueError, match="is no address of family"):
        from_python(socket.AF_INET, ("127.0.0.1",))
    with pytest.raises(ValueError, match="not an IPv4 address"):
        from_python(socket.AF_INET, ("localhost", 1))


def test_zones_by_number() -> None:
    address = from_python(socket.AF_INET6, ("fe80::1", 53, 0, 2))
    assert str(address) == "[fe80::1%2]:53"
    assert from_python(socket.AF_INET6, ("fe80::1%2", 53)) == address
    assert (address.zone, address.flow) == (2, 0)


def test_paths_are_bytes() -> None:
    name = os.fsdecode(b"/run/\xff\n")
    assert str(from_python(socket.AF_UNIX, name)) == "unix:/run/\\xff\\x0a"


def test_places_are_compared_whatever_stands_behind_the_name() -> None:
    """A program gives a path with or without its zero byte, the kernel returns it with one (unix(7))."""
    family = socket.AF_UNIX.to_bytes(2, sys.byteorder)
    assert (
        place_of(family + b"/run/x")
        == place_of(family + b"/run/x\0")
        == place_of(family + b"/run/x\0\0junk")
        == b"/run/x"
    )
    assert place_of(family + b"\0name") == b"\0name"
    assert place_of(family) is None
    assert place_of(None) is None
    assert place_of(b"\x02") is None
