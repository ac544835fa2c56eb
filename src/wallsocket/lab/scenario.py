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

import contextlib
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UsageError
from . import publish
from .link import IMPAIRMENTS, Link
from .network import Lab

__all__ = ["check", "load", "read"]


class _Kind(NamedTuple):
    """What a value must be: in words, and its types."""

    words: str
    types: tuple[type, ...]

    def fits(self, value: Any) -> bool:
        """Whether a value is of this kind; TOML's booleans are no numbers."""
        return isinstance(value, self.types) and (not isinstance(value, bool) or bool in self.types)


_TEXT = _Kind("a text", (str,))
_WHOLE = _Kind("a whole number", (int,))
_FLAG = _Kind("true or false", (bool,))
_LIST = _Kind("a list", (list,))
_TABLE = _Kind("a table", (dict,))
_COUNT = _Kind('a whole number, or a text such as "64kB"', (int, str))
_QUANTITY = _Kind('a number, or a text with its unit such as "50ms" or "5%"', (int, float, str))
_FRAMES = _Kind("numbers of frames, such as [3, 7]", (int, str, list))

_TOP = {
    "seed": _WHOLE,
    "ipv6": _FLAG,
    "offloads": _FLAG,
    "hosts": _TABLE,
    "links": _LIST,
    "switches": _LIST,
    "nat": _LIST,
    "publish": _LIST,
}
_HOST = {
    "forward": _FLAG,
    "run": _TEXT,
    "sysctl": _TABLE,
    "nft": _TEXT,
    "addresses": _TABLE,
    "routes": _TABLE,
    "nameserver": _TEXT,
}
_IMPAIRMENTS = {
    name: {"mend_checksum": _FLAG, "lose": _FRAMES}.get(
        name, _WHOLE if name in ("lose_every", "reorder_gap", "queue", "largest") else _QUANTITY
    )
    for name in IMPAIRMENTS
} | {"burst": _Kind('a text such as "1%,20%", or a list', (str, list))}
_SCRIPTS = {
    "reset_after": _COUNT,
    "refuse": _WHOLE,
    "blackhole": _QUANTITY,
    "blackhole_after_bytes": _COUNT,
}
_LINK = {"between": _LIST, "subnet": _TEXT, "mtu": _WHOLE, "toward": _TEXT, **_IMPAIRMENTS, **_SCRIPTS}
_SWITCH = {"name": _TEXT, "hosts": _LIST, "subnet": _TEXT, "mtu": _WHOLE, **_IMPAIRMENTS}
_NAT = {"inside": _TEXT, "behind": _TEXT}

#: A description of a network that is larger is none; a file without an end is told from it.
_LARGEST_FILE = 1 << 20
#: What the kernel and the core take: 64 bits.
_LARGEST_NUMBER = 1 << 63


def _checked(value: Any, known: Mapping[str, _Kind], where: str) -> dict[str, Any]:
    """A table whose keys are known and whose values are of their kinds."""
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a table")
    for key, entry in value.items():
        kind = known.get(key)
        if kind is None:
            raise UsageError(f"{where} knows no {key!r} (it knows: {', '.join(sorted(known))})")
        if not kind.fits(entry):
            raise UsageError(f"{where}: {key} is not {kind.words}")
        if isinstance(entry, (int, float)) and not -_LARGEST_NUMBER <= entry < _LARGEST_NUMBER:
            # Not printed: a number may have thousands of digits; not-a-number is not within these, either.
            raise UsageError(f"{where}: {key} is no number that fits into 64 bits")
    return value


def _texts(table: dict[str, Any], where: str, words: str, kinds: tuple[type, ...]) -> None:
    """A table of names that the user chose, whose values are all of some kinds."""
    for key, value in table.items():
        for one in value if isinstance(value, list) and list in kinds else [value]:
            if not isinstance(one, kinds) or isinstance(one, list):
                raise UsageError(f"{where}: {key!r} is not {words}")


def check(document: dict[str, Any]) -> None:
    """See that a scenario has only known names and right types; what they refer to is found out when it is built.

    Raises:
        UsageError: what is wrong, where, and what is right.
    """
    _checked(document, _TOP, "the file")
    for name, entry in document.get("hosts", {}).items():
        where = f"[hosts.{name}]"
        _checked(entry, _HOST, where)
        _texts(entry.get("addresses", {}), f"{where} addresses", 'an address such as "192.0.2.1/24"', (str, list))
        _texts(entry.get("routes", {}), f"{where} routes", "the name or address of a router", (str,))
        _texts(entry.get("sysctl", {}), f"{where} sysctl", "a text or a number", (str, int))
    for number, entry in enumerate(document.get("links", []), 1):
        where = f"entry {number} of [[links]]"
        between = _checked(entry, _LINK, where).get("between")
        if not (isinstance(between, list) and len(between) == 2 and all(isinstance(end, str) for end in between)):
            raise UsageError(f'{where}: give its two ends, between = ["a", "b"]')
    for number, entry in enumerate(document.get("switches", []), 1):
        where = f"entry {number} of [[switches]]"
        _checked(entry, _SWITCH, where)
        if "name" not in entry or not all(isinstance(host, str) for host in entry.get("hosts", [None])):
            raise UsageError(f'{where}: give name = "NAME" and hosts = ["a", "b"]')
    for number, entry in enumerate(document.get("nat", []), 1):
        where = f"entry {number} of [[nat]]"
        if _checked(entry, _NAT, where).keys() != _NAT.keys():
            raise UsageError(f"{where}: give inside and behind, two hosts")
    for number, entry in enumerate(document.get("publish", []), 1):
        if not isinstance(entry, str):
            raise UsageError(f'entry {number} of publish is not a text such as "8080:server:80"')
        publish.parse(entry)
    if not document.get("hosts"):
        raise UsageError("the file has no hosts: begin with a table [hosts.NAME]")


@contextlib.contextmanager
def _at(where: str) -> Iterator[None]:
    """What is refused inside is refused of this part of the file."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    except (OSError, OverflowError, ValueError) as error:
        raise UsageError(f"{where}: {getattr(error, 'strerror', None) or error}") from error


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
    document = read(path)
    try:
        return _build(document, seed)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def read(path: Path) -> dict[str, Any]:
    """What a file says, before it is checked.

    Raises:
        UsageError: it cannot be read, or is no TOML.
    """
    try:
        text = _read(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text (at byte {error.start})") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise UsageError(f"{path}: is nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {str(error)[:300]}") from error
    except ValueError as error:  # int() raises it (sys.set_int_max_str_digits)
        raise UsageError(f"{path}: a number has too many digits") from error


def _read(path: Path) -> str:
    """The text of a regular file of a size that a description can have."""
    # Not blocking: a named pipe would have us wait for a writer.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("is not a regular file")
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise ValueError(f"is larger than {_LARGEST_FILE >> 20} MiB")
    return content.decode()


def _build(document: dict[str, Any], seed: int | None) -> Lab:
    check(document)
    chosen = seed if seed is not None else document.get("seed", 0)
    net = Lab(seed=chosen, ipv6=document.get("ipv6", False), offloads=document.get("offloads", False))
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
        with _at(f"[hosts.{name}]"):
            net.host(name, forward=entry.get("forward", False))
    for number, entry in enumerate(document.get("switches", []), 1):
        options = {key: value for key, value in entry.items() if key not in ("name", "hosts")}
        with _at(f"entry {number} of [[switches]]"):
            net.switch(entry["name"], *entry["hosts"], **options)
    for number, entry in enumerate(document.get("links", []), 1):
        impairments = {key: value for key, value in entry.items() if key in IMPAIRMENTS}
        toward = entry.get("toward")
        options = {key: entry[key] for key in ("subnet", "mtu") if key in entry}
        with _at(f"entry {number} of [[links]]"):
            link = net.link(entry["between"][0], entry["between"][1], **options, **({} if toward else impairments))
            if toward:
                link.set(toward=toward, **impairments)
            _script(link, entry)
    for number, entry in enumerate(document.get("nat", []), 1):
        with _at(f"entry {number} of [[nat]]"):
            net.hide(net[entry["inside"]], behind=net[entry["behind"]])
    names = {each.name for each in net}
    for name, entry in hosts.items():
        host = net[name]
        for key, value in entry.get("sysctl", {}).items():
            with _at(f"[hosts.{name}] sysctl {key!r}"):
                host.sysctl(key, value)
        for interface, addresses in entry.get("addresses", {}).items():
            for address in addresses if isinstance(addresses, list) else [addresses]:
                with _at(f"[hosts.{name}] addresses"):
                    host.add_address(interface, address)
        for destination, via in entry.get("routes", {}).items():
            with _at(f"[hosts.{name}] routes"):
                host.add_route(destination, via=net[via] if via in names else via)
        if "nft" in entry:
            with _at(f"[hosts.{name}] nft"):
                host.nft(entry["nft"])
        if "nameserver" in entry:
            server = entry["nameserver"]
            with _at(f"[hosts.{name}] nameserver"):
                host.set_nameserver(net[server] if server in names else server)
    for number, text in enumerate(document.get("publish", []), 1):
        target = publish.parse(text)
        with _at(f"entry {number} of publish"):
            net.publish(
                target.host, target.host_port, address=target.address, port=target.port, protocol=target.protocol
            )
    for name, entry in hosts.items():
        if "run" in entry:
            with _at(f"[hosts.{name}] run"):
                net[name].popen(entry["run"])
