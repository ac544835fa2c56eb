"""The host's interfaces, addresses and routes, as they were at the start or when something failed."""

from __future__ import annotations

import ipaddress
from typing import Any, TypeAlias

from ...events import Fact
from ..facts import Facts, json_list
from ..finding import Proof
from ..tracker import Tracker, on_fact

__all__ = ["Networks"]

Interface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface

_KINDS = frozenset({"addresses", "links", "routes"})
_ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 (a route, nothing is bound)
#: Namespaces that are told apart.
_KEPT = 256


class Networks(Tracker):
    """Keeps the latest answer of each kind for each network namespace."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._latest: dict[tuple[int | None, str], Fact] = {}

    @on_fact
    def see(self, fact: Fact) -> None:
        """The next answer."""
        key = (fact.network, fact.kind)
        if fact.kind in _KINDS and (key in self._latest or len(self._latest) < _KEPT):
            self._latest[key] = fact

    def fact(self, network: int | None, kind: str) -> Fact | None:
        """The latest answer of a kind ('addresses', 'links', 'routes') about a namespace."""
        found = self._latest.get((network, kind))
        if found is None:
            self.facts.miss(f"the {kind} of its network namespace were not read{self.facts.refusal(network)}")
        return found

    def owner(self, host: str) -> int | None:
        """The one namespace that has an address; ``None``: none is known, or several (as with the loopback)."""
        found = [
            network
            for (network, kind), fact in self._latest.items()
            if kind == "addresses" and network is not None and _has(fact.value, host)
        ]
        return found[0] if len(found) == 1 else None

    def link(self, network: int | None, name: str) -> dict[str, Any] | None:
        """An interface by its name; ``None``: not known."""
        fact = self.fact(network, "links")
        for entry in json_list(fact.value) if fact is not None else ():
            if isinstance(entry, dict) and entry.get("interface") == name:
                return entry
        return None

    def interface_to(self, network: int | None, host: str) -> str | None:
        """The interface of the longest route to an address in the main table; ``None``: not known, or no route."""
        fact = self.fact(network, "routes")
        try:
            wanted = ipaddress.ip_address(host)
        except ValueError:
            return None
        best: tuple[int, str] | None = None
        for entry in json_list(fact.value) if fact is not None else ():
            if not isinstance(entry, dict) or entry.get("table") not in (None, 254, 255):
                continue
            prefix, name, destination = entry.get("prefix"), entry.get("interface"), entry.get("destination")
            if not isinstance(prefix, int) or not isinstance(name, str):
                continue
            try:
                there = ipaddress.ip_network(f"{destination or _ANY[wanted.version]}/{prefix}", strict=False)
            except ValueError:
                continue
            if wanted.version == there.version and wanted in there and (best is None or prefix > best[0]):
                best = (prefix, name)
        return best[1] if best is not None else None

    def addresses(self, network: int | None) -> list[tuple[str, Interface]]:
        """Interfaces and their addresses with the length of the prefix."""
        fact = self.fact(network, "addresses")
        found = []
        for entry in json_list(fact.value)[:1000] if fact is not None else ():
            if isinstance(entry, dict) and isinstance(entry.get("interface"), str):
                try:
                    found.append((entry["interface"], ipaddress.ip_interface(f"{entry['address']}/{entry['prefix']}")))
                except (KeyError, ValueError):
                    continue
        return found

    def interface_of(self, network: int | None, host: str) -> str | None:
        """The interface that has an address; ``None``: not known."""
        return next((name for name, address in self.addresses(network) if str(address.ip) == host), None)

    def interface_numbered(self, network: int | None, number: int) -> str | None:
        """The interface with an index; ``None``: not known."""
        fact = self.fact(network, "links")
        for entry in json_list(fact.value) if fact is not None else ():
            if isinstance(entry, dict) and entry.get("index") == number and isinstance(entry.get("interface"), str):
                return str(entry["interface"])
        return None

    def proof(self, network: int | None, kind: str, text: str) -> list[Proof]:
        """The latest answer of a kind as a proof row, if there was one."""
        fact = self.fact(network, kind)
        return [] if fact is None else [Proof("kernel", "fact", fact.id, fact.at_ns, f"kernel: {text}")]


def _has(text: str, host: str) -> bool:
    return any(isinstance(entry, dict) and entry.get("address") == host for entry in json_list(text))
