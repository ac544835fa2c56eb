"""Makes interfaces, addresses, routes and neighbours in a network namespace of its own, and compares with ip(8).

Prints "ok" when everything was as it should be.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
from typing import Any

import pytest

from wallsocket._core.kernel import Routing
from wallsocket.kernel import here


def ip(*arguments: str) -> Any:
    """What ip(8) says."""
    done = subprocess.run(["ip", "-j", *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")


def other_namespace() -> tuple[subprocess.Popen[bytes], int]:
    """A second network namespace, which lasts as long as its process."""
    process = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; read line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process, os.open(f"/proc/{process.pid}/ns/net", os.O_RDONLY)


def refused(number: int, change: Any) -> None:
    """Assert that a change fails with this error."""
    with pytest.raises(OSError) as error:
        change()
    assert error.value.errno == number, error.value


def main() -> None:
    """Everything that the laboratory of a network needs, once."""
    with here.netlink(0) as sock:
        routing = Routing(sock.fileno())
    routing.change_link(1, up=True)
    process, namespace = other_namespace()

    routing.create_veth("near", "far", namespace=namespace, mtu=1400, up=True)
    near = here.interface("near")
    assert (near.kind, near.mtu, near.is_up) == ("veth", 1400, True), near
    assert [link.name for link in here.links() if link.name == "far"] == []
    inside = subprocess.run(
        ["nsenter", f"--net=/proc/{process.pid}/ns/net", "ip", "-j", "link", "show", "far"],
        capture_output=True,
        text=True,
        check=True,
    )
    (far,) = json.loads(inside.stdout)
    assert far["mtu"] == 1400, far

    routing.create_veth("left", "right")
    routing.create_bridge("switch")
    switch = here.interface("switch")
    left = here.interface("left")
    routing.change_link(left.index, master=switch.index, up=True)
    routing.change_link(
        here.interface_index("right"), hardware_address=bytes.fromhex("020000000042"), mtu=1300, up=True
    )
    right = here.interface("right")
    assert (right.hardware_address.hex(), right.mtu, right.peer) == ("020000000042", 1300, left.index), right
    (shown,) = ip("-d", "link", "show", "switch")
    assert shown["linkinfo"]["info_data"]["forward_delay"] == 0, shown
    assert shown["linkinfo"]["info_data"]["stp_state"] == 0, shown
    (shown,) = ip("link", "show", "left")
    assert shown["master"] == "switch", shown

    routing.add_address(right.index, "10.9.8.1", 24)
    routing.add_address(right.index, "fd09::1", 64)
    refused(errno.EEXIST, lambda: routing.add_address(right.index, "10.9.8.1", 24))
    (shown,) = ip("address", "show", "right")
    found = {each["local"]: each for each in shown["addr_info"]}
    assert found["10.9.8.1"]["broadcast"] == "10.9.8.255", found
    # Usable at once: neither tentative nor waiting for duplicate detection.
    assert found["fd09::1"].get("tentative") is None, found
    assert found["fd09::1"]["nodad"] is True, found
    mine = {address.address: address for address in here.addresses() if address.interface == right.index}
    assert {name for name in mine if not name.startswith("fe80")} == {"10.9.8.1", "fd09::1"}, mine
    assert mine["10.9.8.1"].broadcast == "10.9.8.255"

    routing.change_route(("10.77.0.0", 16), gateway="10.9.8.2", mtu=1200, metric=5)
    routing.change_route(("10.78.0.0", 16), kind=6)
    routing.change_route(("10.79.0.0", 16), kind=7)
    routing.change_route(("10.80.0.0", 16), kind=8)
    routing.change_route(None, gateway="10.9.8.3")
    routing.change_route(None, gateway="fd09::3")
    routing.change_route(("fd77::", 48), gateway="fd09::2", interface=right.index)
    routing.change_route(("10.81.0.0", 16), gateway="fd09::2", interface=right.index)
    refused(errno.EEXIST, lambda: routing.change_route(None, gateway="10.9.8.3"))
    ours = {(route.destination, route.prefix_length): route for route in here.routes() if route.origin == "static"}
    theirs = {each["dst"]: each for each in ip("route") + ip("-6", "route") if each["protocol"] == "static"}
    assert (ours["10.77.0.0", 16].mtu, ours["10.77.0.0", 16].metric) == (1200, 5), ours
    assert theirs["10.77.0.0/16"]["metrics"] == [{"mtu": 1200}], theirs
    assert theirs["10.77.0.0/16"]["gateway"] == "10.9.8.2"
    assert theirs["10.81.0.0/16"]["via"] == {"family": "inet6", "host": "fd09::2"}, theirs
    assert ours["10.81.0.0", 16].gateway == "fd09::2"
    assert theirs["fd77::/48"]["gateway"] == "fd09::2"
    assert theirs["default"]["gateway"] in ("10.9.8.3", "fd09::3")
    assert {route.type for route in ours.values()} == {"unicast", "blackhole", "unreachable", "prohibit"}

    assert here.route_to("10.77.1.1").gateway == "10.9.8.2"
    assert here.route_to("10.77.1.1").preferred_source == "10.9.8.1"
    assert here.route_to("192.0.2.1").gateway == "10.9.8.3"
    assert here.route_to("fd77::5").gateway == "fd09::2"
    assert here.route_to("10.9.8.1").type == "local"
    refused(errno.EINVAL, lambda: here.route_to("10.78.1.1"))
    refused(errno.EHOSTUNREACH, lambda: here.route_to("10.79.1.1"))
    refused(errno.EACCES, lambda: here.route_to("10.80.1.1"))
    routing.change_route(None, gateway="10.9.8.3", delete=True)
    refused(errno.ENETUNREACH, lambda: here.route_to("192.0.2.1"))
    refused(errno.ESRCH, lambda: routing.change_route(None, gateway="10.9.8.3", delete=True))

    routing.add_neighbour(right.index, "10.9.8.2", bytes.fromhex("020000000099"))
    (entry,) = [each for each in here.neighbours() if each.address == "10.9.8.2"]
    assert (entry.state, entry.hardware_address.hex()) == ("PERMANENT", "020000000099"), entry
    (shown,) = [each for each in ip("neighbour") if each["dst"] == "10.9.8.2"]
    assert shown["lladdr"] == "02:00:00:00:00:99", shown
    routing.delete_neighbour(right.index, "10.9.8.2")
    assert all(each.address != "10.9.8.2" or each.state == "FAILED" for each in here.neighbours())

    routing.delete_address(right.index, "10.9.8.1", 24)
    refused(errno.EADDRNOTAVAIL, lambda: routing.delete_address(right.index, "10.9.8.1", 24))
    routing.change_link(left.index, up=False)
    routing.change_link(left.index, name="renamed")
    assert here.interface("renamed").index == left.index
    routing.change_link(left.index, namespace=namespace)
    refused(errno.ENODEV, lambda: here.interface_index("renamed"))
    routing.delete_link(right.index)
    refused(errno.ENODEV, lambda: routing.delete_link(right.index))
    os.close(namespace)
    process.communicate(b"\n")
    print("ok")


if __name__ == "__main__":
    main()
