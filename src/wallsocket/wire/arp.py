"""Who has an address on this link (RFC 826)."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import NamedTuple

from ..errors import UsageError
from .ask import arp_question
from .capture import Capture
from .frame import Frame
from .inject import Injector, only_interface
from .interfaces import HasSockets, interface

__all__ = ["Neighbour", "Scan", "arp"]

#: More addresses than a link has; a larger network is a mistake.
_ADDRESSES_MAXIMUM = 65536


class Neighbour(NamedTuple):
    """An answer.

    Attributes:
        address: the IPv4 address that was asked for.
        mac: who has it.
        time_s: seconds from the question to the answer.
        duplicate: another host has claimed the same address in this scan.
    """

    address: str
    mac: str
    time_s: float
    duplicate: bool


class Scan:
    """A running scan: iterate over the answers, in a ``for`` loop or an ``async for`` loop.

    Attributes:
        targets: the addresses that are asked for.
        interface: the name of the link.
        attempt: how often those that did not answer have been asked by now, counted from 1.
        sent: questions sent.
    """

    def __init__(
        self,
        targets: str | Iterable[str],
        interface_name: str | None = None,
        *,
        host: HasSockets | None = None,
        timeout_s: float = 1.0,
        attempts: int = 2,
        rate_per_s: float = 1000.0,
    ) -> None:
        self.targets = list(_addresses(targets))
        if timeout_s <= 0 or attempts < 1 or rate_per_s <= 0:
            raise UsageError("the timeout, the attempts and the rate must be above 0")
        place = interface(only_interface(host) if interface_name is None else interface_name, host)
        if place.hardware_type != 1 or place.mac is None:
            raise UsageError(f"{place.name} is no Ethernet interface: it has no ARP")
        self.interface = place.name
        # Without an address of its own the host asks as a probe does (RFC 5227).
        self._sender = place.address or "0.0.0.0"  # noqa: S104
        self._mac = place.mac
        self._timeout_s, self._attempts, self._rate = timeout_s, attempts, rate_per_s
        self._capture = Capture(place.name, filter=None, host=host, direction="in", latency_s=0.002)
        self._injector = Injector(place.name, host=host)
        self._asked: dict[str, int] = {}
        self._found: dict[str, set[str]] = {}
        self._queue = list(self.targets)
        self.attempt = 1
        self._start = time.monotonic()
        self.sent = 0
        self._end = self._start + timeout_s

    @property
    def missing(self) -> list[str]:
        """Addresses nobody has claimed."""
        return [address for address in self.targets if address not in self._found]

    def _send(self) -> None:
        while self._queue and self.sent <= (time.monotonic() - self._start) * self._rate:
            target = self._queue.pop(0)
            self._asked[target] = time.time_ns()
            self._injector.send(arp_question(target, self._sender, self._mac))
            self.sent += 1
            self._end = time.monotonic() + self._timeout_s

    def _take(self, frames: list[Frame]) -> Iterator[Neighbour]:
        for frame in frames:
            message = frame.arp
            if message is None or message.operation != 2 or message.sender not in self._asked:
                continue
            address, mac = message.sender, message.sender_hardware
            if mac is None:
                continue
            known = self._found.setdefault(address, set())
            if mac in known:
                continue
            known.add(mac)
            time_s = max(0, (frame.timestamp_ns or 0) - self._asked[address]) / 1e9
            yield Neighbour(address, mac, time_s, len(known) > 1)

    def _finished(self) -> bool:
        if self._queue:
            return False
        if time.monotonic() < self._end and self.missing:
            return False
        if self.missing and self.attempt < self._attempts:
            self.attempt += 1
            self._queue = self.missing
            return False
        # A second claim of an address comes at about the time of the first.
        return time.monotonic() >= min(self._end, self._start + self._timeout_s / 4) or not self.targets

    def _wait_s(self) -> float:
        if self._queue:
            return 1 / self._rate
        return max(0.001, min(self._end - time.monotonic(), 0.05))

    def __iter__(self) -> Iterator[Neighbour]:
        for answers in self.watch():
            yield from answers

    def watch(self) -> Iterator[list[Neighbour]]:
        """The answers as they come, and empty lists meanwhile: a look at how far the scan is, many times a second."""
        try:
            while not self._finished():
                self._send()
                yield list(self._take(self._capture.read(self._wait_s())))
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[Neighbour]:
        import anyio

        try:
            while not self._finished():
                self._send()
                with anyio.move_on_after(self._wait_s()):
                    await anyio.wait_readable(self._capture.fileno())
                for found in self._take(self._capture.read(0.0)):
                    yield found
        finally:
            self.close()

    def close(self) -> None:
        """Stop."""
        self._capture.close()
        self._injector.close()


def _addresses(targets: str | Iterable[str]) -> Iterator[str]:
    for target in [targets] if isinstance(targets, str) else targets:
        try:
            network = ipaddress.IPv4Network(target, strict=False)
        except ValueError as error:
            raise UsageError(f"{target!r} is no IPv4 address or network ({error})") from error
        if network.num_addresses > _ADDRESSES_MAXIMUM:
            raise UsageError(
                f"{target} has {network.num_addresses} addresses; at most {_ADDRESSES_MAXIMUM} are asked for"
            )
        for address in network.hosts():
            yield str(address)


def arp(
    targets: str | Iterable[str],
    interface: str | None = None,
    *,
    host: HasSockets | None = None,
    timeout_s: float = 1.0,
    attempts: int = 2,
    rate_per_s: float = 1000.0,
) -> Scan:
    """Ask a link who has some IPv4 addresses.

    Args:
        targets: an address, a network such as ``192.0.2.0/24``, or several.
        interface: the link; may be left out for a host of a lab with one link.
        host: whose link.
        timeout_s: how long an answer may take.
        attempts: how often to ask those that did not answer.
        rate_per_s: questions per second.

    Raises:
        NotPermitted: without CAP_NET_RAW.
        UsageError: no such interface or address.

    """
    return Scan(targets, interface, host=host, timeout_s=timeout_s, attempts=attempts, rate_per_s=rate_per_s)
