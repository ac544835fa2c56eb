"""A lab from a TOML file.

::

    seed = 7

    [hosts.server]
    run = "redis-server --protected-mode no"
    [hosts.client]

    [[links]]
    between = ["client", "server"]
    delay = "50ms"
    loss = "5%"
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from ..errors import UsageError
from . import publish
from .link import IMPAIRMENTS, Link
from .network import Lab

__all__ = ["check", "load"]

_TOP = {"seed", "ipv6", "offloads", "hosts", "links", "switches", "nat", "publish"}
_HOST = {"forward", "run", "sysctl", "nft", "addresses", "routes", "nameserver"}
_SCRIPTS = {"reset_after", "refuse", "blackhole", "blackhole_after_bytes"}
_LINK = {"between", "subnet", "mtu", "toward", *IMPAIRMENTS, *_SCRIPTS}
_SWITCH = {"name", "hosts", "subnet", "mtu", *IMPAIRMENTS}
_NAT = {"inside", "behind"}


def _table(value: Any, known: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a table")
    unknown = value.keys() - known
    if unknown:
        raise UsageError(f"{where} knows no {', '.join(sorted(unknown))} (it knows: {', '.join(sorted(known))})")
    return value


def _typed(table: dict[str, Any], name: str, kind: type, default: Any, where: str) -> Any:
    value = table.get(name, default)
    if value is not default and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        words = {int: "a whole number", bool: "true or false", str: "a text", list: "a list", dict: "a table"}
        raise UsageError(f"{where}: {name} is not {words[kind]}")
    return value


def _tables(document: dict[str, Any], name: str, known: set[str]) -> list[dict[str, Any]]:
    entries = _typed(document, name, list, [], "the file")
    return [_table(entry, known, f"entry {number} of [[{name}]]") for number, entry in enumerate(entries, 1)]


def check(document: dict[str, Any]) -> None:
    """See that a scenario has only known names and right types; what they refer to is found out when it is built.

    Raises:
        UsageError: what is wrong, and where.
    """
    _table(document, _TOP, "the file")
    for name, entry in _typed(document, "hosts", dict, {}, "the file").items():
        where = f"[hosts.{name}]"
        _table(entry, _HOST, where)
        for key, kind in (("forward", bool), ("run", str), ("nft", str), ("nameserver", str)):
            _typed(entry, key, kind, None, where)
        for key in ("sysctl", "addresses", "routes"):
            _typed(entry, key, dict, None, where)
    for number, entry in enumerate(_tables(document, "links", _LINK), 1):
        between = entry.get("between")
        if not (isinstance(between, list) and len(between) == 2 and all(isinstance(end, str) for end in between)):
            raise UsageError(f'entry {number} of [[links]]: give its two ends, between = ["a", "b"]')
    for number, entry in enumerate(_tables(document, "switches", _SWITCH), 1):
        if not isinstance(entry.get("name"), str) or not isinstance(entry.get("hosts"), list):
            raise UsageError(f"entry {number} of [[switches]]: give name and hosts")
    for number, entry in enumerate(_tables(document, "nat", _NAT), 1):
        if not all(isinstance(entry.get(key), str) for key in _NAT):
            raise UsageError(f"entry {number} of [[nat]]: give inside and behind, two hosts")
    for entry in _typed(document, "publish", list, [], "the file"):
        publish.parse(str(entry))
    if not document.get("hosts"):
        raise UsageError("the file has no hosts: begin with a table [hosts.NAME]")


def load(source: str | os.PathLike[str] | dict[str, Any], *, seed: int | None = None) -> Lab:
    """Build the lab that a TOML file (or the same as a dictionary) describes, and start the programs in it.

    Args:
        source: path of the file, or its content as a dictionary.
        seed: instead of the file's.

    Raises:
        UsageError: the file cannot be read, is no TOML, or says what cannot be; the text says where. Nothing is left.
        NotPermitted: the kernel allows no namespaces here.
    """
    if isinstance(source, dict):
        return _build(source, seed)
    path = Path(source)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    try:
        return _build(document, seed)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _build(document: dict[str, Any], seed: int | None) -> Lab:
    check(document)
    chosen = seed if seed is not None else _typed(document, "seed", int, 0, "the file")
    ipv6 = _typed(document, "ipv6", bool, False, "the file")
    net = Lab(seed=chosen, ipv6=ipv6, offloads=_typed(document, "offloads", bool, False, "the file"))
    try:
        _fill(net, document)
    except BaseException:
        net.close()
        raise
    return net


def _script(link: Link, entry: dict[str, Any]) -> None:
    if "reset_after" in entry:
        link.reset_after(entry["reset_after"])
    if "refuse" in entry:
        link.refuse(entry["refuse"])
    if "blackhole" in entry:
        link.blackhole(after=entry["blackhole"])
    if "blackhole_after_bytes" in entry:
        link.blackhole(after_bytes=entry["blackhole_after_bytes"])


def _fill(net: Lab, document: dict[str, Any]) -> None:
    hosts: dict[str, dict[str, Any]] = document["hosts"]
    for name, entry in hosts.items():
        net.host(name, forward=entry.get("forward", False))
    for entry in document.get("switches", []):
        options = {key: value for key, value in entry.items() if key not in ("name", "hosts")}
        net.switch(entry["name"], *entry["hosts"], **options)
    for entry in document.get("links", []):
        impairments = {key: value for key, value in entry.items() if key in IMPAIRMENTS}
        toward = entry.get("toward")
        options = {key: entry[key] for key in ("subnet", "mtu") if key in entry}
        link = net.link(entry["between"][0], entry["between"][1], **options, **({} if toward else impairments))
        if toward:
            link.set(toward=toward, **impairments)
        _script(link, entry)
    for entry in document.get("nat", []):
        net.hide(net[entry["inside"]], behind=net[entry["behind"]])
    for name, entry in hosts.items():
        host = net[name]
        for key, value in entry.get("sysctl", {}).items():
            host.sysctl(key, value)
        for interface, addresses in entry.get("addresses", {}).items():
            for address in addresses if isinstance(addresses, list) else [addresses]:
                host.add_address(interface, address)
        for destination, via in entry.get("routes", {}).items():
            host.add_route(destination, via=net[via] if via in {each.name for each in net} else via)
        if "nft" in entry:
            host.nft(entry["nft"])
        if "nameserver" in entry:
            server = entry["nameserver"]
            host.set_nameserver(net[server] if server in {each.name for each in net} else server)
    for text in document.get("publish", []):
        target = publish.parse(text)
        net.publish(target.host, target.host_port, address=target.address, port=target.port, protocol=target.protocol)
    for name, entry in hosts.items():
        if "run" in entry:
            net[name].popen(entry["run"])
