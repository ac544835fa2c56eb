"""A link between two hosts, or a host and a switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from .host import Host, Interface
    from .network import Lab, Switch

__all__ = ["Link"]


class Link:
    """A cable between two interfaces. Made by :meth:`Lab.link`."""

    def __init__(self, lab: Lab, a: Host | Switch, b: Host | Switch, mtu: int, impairments: dict[str, Any]) -> None:
        if impairments:
            raise UsageError(f"unknown: {impairments}")
        self.lab = lab
        self.a = a
        self.b = b
        self.mtu = mtu

    def __str__(self) -> str:
        return f"{self.a.name}-{self.b.name}"

    def _plug(self, near: Interface, far: Interface) -> None:
        """Make the interfaces, connected and up."""
        from .network import Switch

        ends = [
            (
                end._number,
                face.name,
                face.index,
                face.mac,
                face.mtu,
                [(str(a.ip), a.network.prefixlen) for a in face.addresses],
            )
            for end, face in ((self.a, near), (self.b, far))
        ]
        self.lab._namespaces.connect(ends[0], ends[1], self.lab.offloads)
        for end, face in ((self.a, near), (self.b, far)):
            if isinstance(end, Switch):
                self.lab._namespaces.port(end._number, face.index, end._bridge)

    def _close(self) -> None:
        pass
