"""A network of hosts on this machine, without root: real kernels' stacks, real programs, and links as bad as you want.

::

    from wallsocket import lab

    with lab.hosts("client", "server", loss="5%", delay="50ms") as (client, server):
        with server.popen("redis-server --protected-mode no --save ''"):
            client.run("redis-cli -h server ping", check=True)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .host import Host, Interface
from .link import IMPAIRMENTS, Fate, Link
from .network import Lab, Switch
from .program import Process
from .topology import firewall, hosts, line, mtu_bottleneck, nat, pair, router, star

if TYPE_CHECKING:
    from .publish import Published
    from .scenario import load

__all__ = (
    "IMPAIRMENTS",
    "Fate",
    "Host",
    "Interface",
    "Lab",
    "Link",
    "Process",
    "Published",
    "Switch",
    "firewall",
    "hosts",
    "line",
    "load",
    "mtu_bottleneck",
    "nat",
    "pair",
    "router",
    "star",
)


def __getattr__(name: str) -> Any:
    # What few labs need is imported by those: a lab is to be there at once.
    if name == "load":
        from .scenario import load

        return load
    if name == "Published":
        from .publish import Published

        return Published
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
