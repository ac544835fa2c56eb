"""Interfaces, addresses, routes and neighbours, against ip(8)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from typing import Any

import pytest

from tests.support import repository
from wallsocket.kernel import here


def ip(*arguments: str) -> Any:
    program = shutil.which("ip") or shutil.which("ip", path="/sbin:/usr/sbin")
    if program is None:
        pytest.skip("ip (iproute2) is not installed")
    done = subprocess.run([program, "-j", *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")


def test_links() -> None:
    theirs = {each["ifname"]: each for each in ip("-d", "link")}
    ours = {link.name: link for link in here.links()}
    assert ours.keys() == theirs.keys()
    for name, link in ours.items():
        assert link.index == theirs[name]["ifindex"]
        assert link.mtu == theirs[name]["mtu"]
        assert link.hardware_address.hex(":") == theirs[name].get("address", "")
        assert link.is_up == ("UP" in theirs[name]["flags"])
        assert link.kind == theirs[name].get("linkinfo", {}).get("info_kind")
        # ip(8) shows RUNNING only by its absence, as NO-CARRIER.
        assert set(link.flags_text.split("|")) - {"RUNNING"} == set(theirs[name]["flags"]) - {"NO-CARRIER"}
        assert here.interface(link.index) == here.interface(name) or link.name != "lo"
    assert ours["lo"].is_loopback


def test_addresses() -> None:
    theirs = {
        (each["ifindex"], address["local"], address["prefixlen"], address["scope"])
        for each in ip("address")
        for address in each["addr_info"]
    }
    assert {(a.interface, a.address, a.prefix_length, a.scope) for a in here.addresses()} == theirs


def test_routes() -> None:
    def text(destination: str | None, length: int, family: int) -> str:
        if destination is None:
            return "default"
        return destination if length == (32 if family == socket.AF_INET else 128) else f"{destination}/{length}"

    ours = {
        (r.family, text(r.destination, r.prefix_length, r.family), r.gateway, r.metric, r.origin)
        for r in here.routes()
        if r.table == 254
    }
    theirs = {
        (family, each["dst"], each.get("gateway"), each.get("metric", 0), each.get("protocol", "boot"))
        for family, flag in ((socket.AF_INET, "-4"), (socket.AF_INET6, "-6"))
        for each in ip(flag, "route")
    }
    assert ours == theirs


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_route_to_this_machine(address: str) -> None:
    try:
        route = here.route_to(address)
    except OSError as error:
        pytest.skip(f"no route: {error}")
    assert route.type == "local"
    assert route.interface == socket.if_nametoindex("lo")
    (theirs,) = ip("route", "get", address)
    assert (theirs["type"], theirs["dst"], theirs["dev"]) == (route.type, address, "lo")


def test_wrong_addresses_are_refused() -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        here.route_to("localhost")
    with pytest.raises(OSError, match="no interface number 999999"):
        here.interface(999_999)


def test_changes_in_a_namespace_of_its_own() -> None:
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-m", "tests.kernel.network_changes"],
        cwd=repository.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "unshare failed" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
