"""What the kernel said about the host when a call failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from ...events import Call, Fact
from ...kernel.names import tcp_state
from ..address import Address
from ..facts import Facts, json_list, json_object, json_text
from ..finding import Proof
from ..tracker import Tracker, on_fact
from ..vocabulary import LISTEN

__all__ = ["HostAnswers", "HostSocket"]

#: Characters of the answers that are kept: a busy host's list of sockets has some hundred thousand.
_KEPT = 32_000_000
#: What an answer weighs beside its text.
_WEIGHT = 500
#: The answer where nothing was asked: why.
_NOT_ASKED = "not looked up"
#: Sockets of one answer that are read.
_LISTED = 1_000


#: What is said of the holder of a socket when none was found, by why.
_UNSEEN_OWNERS: Final[dict[str | None, str]] = {
    "time": "a process that was not found in time",
    "permission": "a process whose open files may not be read here",
    None: "a socket that no process here holds",
}


class HostSocket(NamedTuple):
    """A socket of the host, as the kernel listed it when a call failed."""

    protocol: str
    state: int
    local: Address | None
    remote: Address | None
    owners: tuple[tuple[int, str], ...]  #: (pid, command)
    #: Why there may be others: ``time`` or ``permission``; ``None``: every process was looked at; ``""``: not recorded.
    owners_unknown: str | None = ""
    only_inet6: bool = False  #: it is an IPv6 socket that refuses IPv4

    @property
    def listens(self) -> bool:
        """Whether it is a TCP listener."""
        return self.protocol.startswith("tcp") and self.state == LISTEN

    @property
    def state_name(self) -> str:
        """Its TCP state by name."""
        return tcp_state(self.state & 0xFF)

    def owner(self) -> str:
        """Its owner in words."""
        return self.program() or _UNSEEN_OWNERS.get(self.owners_unknown, "a process that is not known")

    def program(self) -> str:
        """Its owner in words; empty where none is known."""
        return ", ".join(f"{command} (pid {pid})" for pid, command in self.owners[:3])


class HostAnswers(Tracker):
    """Keeps the look-ups that followed failed calls, and reads them when they are asked for."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: dict[tuple[int, str], Fact] = {}
        self._left = _KEPT
        self._sockets: dict[int, list[HostSocket]] = {}

    @on_fact
    def see(self, fact: Fact) -> None:
        """The next answer."""
        if fact.call is None or (fact.call, fact.kind) in self._of:
            return
        self._left -= _WEIGHT + len(fact.kind) + len(fact.value)
        if self._left >= 0:
            self._of[fact.call, fact.kind] = fact

    def fact(self, call: Call, kind: str) -> Fact | None:
        """The answer of one kind ('sockets', 'addresses', 'routes', 'sysctls', 'limits' …) to a failed call."""
        found = self._of.get((call.id, kind))
        if found is None:
            refused = self._of.get((call.id, _NOT_ASKED))
            if refused is not None:
                self.facts.miss(f"the kernel was not asked when call {call.id} failed ({_why(refused.value)})")
            elif self._left < 0:
                self.facts.miss("the kernel said more about calls that failed than can be kept")
        return found

    def proof(self, call: Call, kind: str, text: str) -> list[Proof]:
        """The answer as a proof row, if there was one."""
        fact = self.fact(call, kind)
        return [] if fact is None else [Proof("kernel", "fact", fact.id, fact.at_ns, f"kernel: {text}")]

    def sockets(self, call: Call) -> list[HostSocket] | None:
        """Sockets of the host when ``call`` failed; ``None``: not looked up."""
        if call.id not in self._sockets:
            row = self.fact(call, "sockets")
            if row is None:
                return None
            if len(self._sockets) >= 256:
                self._sockets.clear()
            self._sockets[call.id] = list(_host_sockets(row.value))
        return self._sockets[call.id]

    def sysctl(self, call: Call, name: str) -> int | None:
        """The number of a sysctl when a call failed; ``None``: not read."""
        row = self.fact(call, "sysctls")
        value = json_object(row.value).get(name) if row is not None else None
        return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else None

    def mtu(self, call: Call, interface: object) -> int | None:
        """The MTU of an interface when ``call`` failed; ``None``: not looked up."""
        row = self.fact(call, "links")
        for entry in json_list(row.value) if row is not None else ():
            if isinstance(entry, dict) and entry.get("interface") == interface and isinstance(entry.get("mtu"), int):
                return int(entry["mtu"])
        return None

    def holder(self, call: Call, protocol: str, where: Address) -> HostSocket | None:
        """The socket that has an address, as the kernel listed it: a TCP listener or any UDP socket."""
        for entry in self.sockets(call) or ():
            holds = entry.protocol.startswith(protocol) and (protocol == "udp" or entry.listens)
            if holds and entry.local is not None and entry.local.clashes(where):
                return entry
        return None

    def held(self, call: Call, protocol: str, where: Address) -> list[Proof]:
        """The kernel's row about the holder of an address, if it listed one."""
        holder = self.holder(call, protocol, where)
        if holder is None:
            return []
        return self.proof(call, "sockets", f"{holder.local} ({protocol}) is held by {holder.owner()}")

    def is_local(self, call: Call, host: str) -> bool | None:
        """Whether an address is this host's own; ``None``: not known."""
        if host.startswith("127.") or host == "::1":
            return True
        row = self.fact(call, "addresses")
        if row is None:
            return None
        return any(isinstance(entry, dict) and entry.get("address") == host for entry in json_list(row.value))


def _why(value: str) -> str:
    reason = json_text(value)
    return "it had been asked less than a second before" if reason == "limit" else reason or "no reason is given"


def _host_sockets(text: str) -> Iterator[HostSocket]:
    for entry in json_list(text)[:_LISTED]:
        if not isinstance(entry, dict):
            continue
        state = entry.get("state")
        owners = entry.get("pids")
        yield HostSocket(
            str(entry.get("protocol")),
            state if isinstance(state, int) else 0,
            Address.parse(entry.get("local")),
            Address.parse(entry.get("remote")),
            tuple(
                (owner["pid"], str(owner.get("command")))
                for owner in (owners if isinstance(owners, list) else ())
                if isinstance(owner, dict) and isinstance(owner.get("pid"), int)
            ),
            _text_or_none(entry.get("pids_unknown", "")),
            entry.get("only_inet6") is True,
        )


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)
