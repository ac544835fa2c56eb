"""Two hosts on a link, and a chain with routers, for the tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from .network import Host, Network


@pytest.fixture
def network() -> Iterator[Network]:
    if shutil.which("ip") is None:
        pytest.skip("needs iproute2 (apt install iproute2)")
    try:
        made = Network()
    except OSError as error:
        pytest.skip(f"user namespaces are refused here: {error}")
    yield made
    made.close()


@pytest.fixture
def pair(network: Network) -> tuple[Host, Host]:
    """a (10.0.0.1, fd00::1) and b (10.0.0.2, fd00::2), joined by eth0."""
    a, b = network.host("a"), network.host("b")
    network.link(a, b, "eth0", "eth0", "10.0.0.1/24", "10.0.0.2/24")
    a.run("ip", "address", "add", "fd00::1/64", "dev", "eth0", "nodad")
    b.run("ip", "address", "add", "fd00::2/64", "dev", "eth0", "nodad")
    return a, b
