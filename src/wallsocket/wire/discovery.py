"""Neighbour discovery (RFC 4861, 8106) as a layer."""

from __future__ import annotations

import dataclasses
import ipaddress
import socket
import struct
from typing import Any, ClassVar, Self

from ..errors import UsageError
from .craft import Layer, address_bytes, ethernet_bytes, with_checksum, within

__all__ = ["NDP"]

_ROUTER_SOLICITATION, _ROUTER_ADVERTISEMENT, _SOLICITATION, _ADVERTISEMENT, _REDIRECT = 133, 134, 135, 136, 137
#: Flag letters in the first byte after the checksum (RFC 4861, 4.4), and of router advertisements in the second (4.2).
_FLAGS = {"R": 0x80, "S": 0x40, "O": 0x20}
_ROUTER_FLAGS = {"M": 0x80, "O": 0x40, "H": 0x20}
_ON_LINK, _AUTONOMOUS = 0x80, 0x40


def _letters(text: str | int, table: dict[str, int]) -> int:
    if isinstance(text, int):
        return within("flags", text, 8)
    try:
        return sum(table[letter] for letter in dict.fromkeys(text))
    except KeyError as error:
        raise UsageError(f"no flag {error.args[0]!r}: letters of {' '.join(table)}") from None


def _text(number: int, table: dict[str, int]) -> str | int:
    known = "".join(letter for letter, bit in table.items() if number & bit)
    return known if _letters(known, table) == number else number


@dataclasses.dataclass(frozen=True, repr=False)
class NDP(Layer):
    """A message of neighbour discovery, over IPv6 with hop limit 255.

    Types: 133 router solicitation, 134 router advertisement, 135 neighbour solicitation (asks for ``target``), 136 neighbour
    advertisement (``flags`` of R router, S solicited, O override), 137 redirect (to ``target`` for ``destination``).
    A router advertisement has ``flags`` of M managed addresses, O other configuration, H home agent.

    ``options`` are, in order: ``("source_link_layer", "02:…")``, ``("target_link_layer", …)``, ``("mtu", 1500)``,
    ``("prefix", "2001:db8::/64", "LA", valid_s, preferred_s)`` with L on link and A autonomous,
    ``("name_servers", lifetime_s, address, …)``, or (number, bytes).
    """

    ip_protocol: ClassVar[int | None] = 58

    type: int = _SOLICITATION
    target: str | bytes = "::"
    flags: str | int = ""
    options: tuple[tuple[Any, ...], ...] = ()
    destination: str | bytes = "::"
    hop_limit: int = 0
    lifetime_s: int = 0
    reachable_ms: int = 0
    retransmit_ms: int = 0
    code: int = 0
    checksum: int | None = None

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        body = bytes(4)
        if self.type == _ROUTER_ADVERTISEMENT:
            body = struct.pack(
                "!BBHII",
                within("hop_limit", self.hop_limit, 8),
                _letters(self.flags, _ROUTER_FLAGS),
                within("lifetime_s", self.lifetime_s, 16),
                within("reachable_ms", self.reachable_ms, 32),
                within("retransmit_ms", self.retransmit_ms, 32),
            )
        elif self.type != _ROUTER_SOLICITATION:
            body = bytes([_letters(self.flags, _FLAGS), 0, 0, 0]) + address_bytes(self.target, socket.AF_INET6)
            if self.type == _REDIRECT:
                body += address_bytes(self.destination, socket.AF_INET6)
        head = struct.pack("!BBH", within("type", self.type, 8), within("code", self.code, 8), 0)
        options = b"".join(map(_option, self.options))
        return with_checksum(head + body + options, 2, payload, self.checksum, 58, below)

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The message that these bytes are; ``None`` for another type, a cut one, or bits that have no meaning."""
        fixed = {
            _ROUTER_SOLICITATION: 8,
            _ROUTER_ADVERTISEMENT: 16,
            _SOLICITATION: 24,
            _ADVERTISEMENT: 24,
            _REDIRECT: 40,
        }
        if len(data) < 4 or len(data) < fixed.get(data[0], len(data) + 1):
            return None
        kind, code, checksum = struct.unpack_from("!BBH", data)
        values: dict[str, Any] = {"code": code, "checksum": checksum}
        if kind == _ROUTER_ADVERTISEMENT:
            names = ("hop_limit", "flags", "lifetime_s", "reachable_ms", "retransmit_ms")
            values |= zip(names, struct.unpack_from("!BBHII", data, 4), strict=True)
            values["flags"] = _text(values["flags"], _ROUTER_FLAGS)
        elif kind != _ROUTER_SOLICITATION:
            values["flags"] = _text(data[4], _FLAGS)
            values["target"] = socket.inet_ntop(socket.AF_INET6, data[8:24])
            if kind == _REDIRECT:
                values["destination"] = socket.inet_ntop(socket.AF_INET6, data[24:40])
        options = []
        rest = data[fixed[kind] :]
        while len(rest) >= 2 and 0 < 8 * rest[1] <= len(rest):
            options.append(_parsed(rest[0], rest[2 : 8 * rest[1]]))
            rest = rest[8 * rest[1] :]
        return cls(kind, options=tuple(options), **values), rest


_NUMBERS = {"source_link_layer": 1, "target_link_layer": 2, "prefix": 3, "mtu": 5, "name_servers": 25}


def _option(option: tuple[Any, ...]) -> bytes:
    kind, *values = option
    number = _NUMBERS.get(kind, kind)
    if not isinstance(number, int):
        raise UsageError(
            f"no option {kind!r} of neighbour discovery: one of {', '.join(_NUMBERS)}, or a number with bytes"
        )
    try:
        data = _option_data(kind, *values)
    except (TypeError, ValueError, struct.error) as error:
        raise UsageError(f"{option!r} is no such option of neighbour discovery: {error}") from error
    data += bytes(-(2 + len(data)) % 8)
    return (
        bytes(
            [within("the number of an option", number, 8), within("the length of an option", (2 + len(data)) // 8, 8)]
        )
        + data
    )


def _option_data(kind: Any, *values: Any) -> bytes:
    if kind in ("source_link_layer", "target_link_layer"):
        return ethernet_bytes(*values)
    if kind == "prefix":
        network, flags, valid_s, preferred_s = values
        prefix = ipaddress.IPv6Network(network, strict=False)
        bits = _letters(flags, {"L": _ON_LINK, "A": _AUTONOMOUS})
        head = struct.pack("!BBIII", prefix.prefixlen, bits, valid_s, preferred_s, 0)
        return head + ipaddress.IPv6Interface(network).ip.packed
    if kind == "mtu":
        return struct.pack("!HI", 0, *values)
    if kind == "name_servers":
        lifetime_s, *addresses = values
        return struct.pack("!HI", 0, lifetime_s) + b"".join(address_bytes(each, socket.AF_INET6) for each in addresses)
    (data,) = values
    return bytes(data)


def _parsed(number: int, data: bytes) -> tuple[Any, ...]:
    """An option in words, where those make the same bytes again."""
    found: tuple[Any, ...] | None = None
    if number in (1, 2) and len(data) == 6:
        found = ("source_link_layer" if number == 1 else "target_link_layer", data.hex(":"))
    elif number == 3 and len(data) == 30 and data[0] <= 128:
        length, flags, valid_s, preferred_s, _ = struct.unpack_from("!BBIII", data)
        letters = _text(flags, {"L": _ON_LINK, "A": _AUTONOMOUS})
        found = ("prefix", f"{socket.inet_ntop(socket.AF_INET6, data[14:])}/{length}", letters, valid_s, preferred_s)
    elif number == 5 and len(data) == 6:
        found = ("mtu", int.from_bytes(data[2:], "big"))
    elif number == 25 and len(data) % 16 == 6 and len(data) > 6:
        addresses = [socket.inet_ntop(socket.AF_INET6, data[at : at + 16]) for at in range(6, len(data), 16)]
        found = ("name_servers", int.from_bytes(data[2:6], "big"), *addresses)
    if found is not None and _option(found)[2:] == data:
        return found
    return (number, data)
