"""Settings of the kernel (sysctls) by network namespace, as they were when it was met or something failed."""

from __future__ import annotations

from ...events import Fact
from ..facts import Facts, json_object
from ..finding import Proof
from ..tracker import Tracker, on_fact

__all__ = ["Settings"]

#: Namespaces that are told apart.
_KEPT = 256


class Settings(Tracker):
    """Keeps the latest answer about each network namespace."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._latest: dict[int | None, Fact] = {}

    @on_fact
    def see(self, fact: Fact) -> None:
        """The next answer."""
        if fact.kind == "sysctls" and (fact.network in self._latest or len(self._latest) < _KEPT):
            self._latest[fact.network] = fact

    def text(self, network: int | None, name: str) -> str | None:
        """A setting as the kernel writes it; ``None``: not asked, or it does not exist."""
        fact = self._latest.get(network)
        if fact is None:
            self.facts.miss(f"the settings of its network namespace were not read{self.facts.refusal(network)}")
        value = json_object(fact.value).get(name) if fact is not None else None
        return value if isinstance(value, str) else None

    def number(self, network: int | None, name: str) -> int | None:
        """The same where it is a number."""
        value = self.text(network, name)
        return int(value) if value is not None and value.isdecimal() and len(value) < 12 else None

    def proof(self, network: int | None, name: str) -> list[Proof]:
        """The setting as a proof row, if it is known."""
        fact, value = self._latest.get(network), self.text(network, name)
        if fact is None or value is None:
            return []
        return [Proof("kernel", "fact", fact.id, fact.at_ns, f"kernel: {name} = {value}")]
