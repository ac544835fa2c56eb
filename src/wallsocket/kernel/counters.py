"""Counters of a network namespace, with the names of nstat(8): ``TcpRetransSegs``, ``TcpExtListenOverflows``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .._core.kernel import parse_counters

__all__ = ["difference", "parse", "read"]

#: The files under ``/proc`` that hold them; the last one is missing where the kernel has no IPv6.
FILES = ("net/snmp", "net/netstat", "net/snmp6")


def parse(text: str) -> dict[str, int]:
    """Take the text of ``/proc/net/snmp``, ``/proc/net/netstat`` or ``/proc/net/snmp6``."""
    return parse_counters(text)


def read(read_proc: Callable[[str], str]) -> dict[str, int]:
    """All counters; ``read_proc`` returns the text of a file under ``/proc`` or raises ``OSError``."""
    all_of: dict[str, int] = {}
    for path in FILES:
        try:
            all_of |= parse(read_proc(path))
        except FileNotFoundError:
            continue
    return all_of


def difference(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return what changed, by name; a counter that is new counts from zero."""
    changes = {name: value - before.get(name, 0) for name, value in after.items()}
    return {name: change for name, change in changes.items() if change}
