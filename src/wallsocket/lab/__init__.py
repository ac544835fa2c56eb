"""A network of hosts on this machine, without root."""

from __future__ import annotations

from typing import Any

from .host import Host
from .link import Link
from .network import Lab, Switch
from .program import Process

__all__ = ("Host", "Lab", "Link", "Process", "Switch", "hosts")


def hosts(*names: str, seed: int = 0, ipv6: bool = False, offloads: bool = False, **link: Any) -> Lab:
    lab = Lab(seed=seed, ipv6=ipv6, offloads=offloads)
    made = lab._add_hosts(list(names))
    if len(made) == 2:
        lab.link(*made, **link)
    return lab
