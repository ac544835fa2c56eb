"""DHCP (RFC 2131, options of RFC 2132) as a layer."""

from __future__ import annotations

import dataclasses
import socket
import struct
from typing import Any, ClassVar, Self

from ..errors import UsageError
from .craft import Layer, address_bytes, ethernet_bytes, within

__all__ = ["DHCP"]

_MAGIC = b"\x63\x82\x53\x63"
_END, _PAD = 255, 0
_FIXED = 236
#: Message types by name (RFC 2132, 9.6).
_MESSAGES = {"discover": 1, "offer": 2, "request": 3, "decline": 4, "ack": 5, "nak": 6, "release": 7, "inform": 8}
#: Options by name: number, and the form of the value.
_OPTIONS = {
    "subnet_mask": (1, "address"),
    "routers": (3, "addresses"),
    "name_servers": (6, "addresses"),
    "host_name": (12, "text"),
    "domain_name": (15, "text"),
    "mtu": (26, "!H"),
    "broadcast": (28, "address"),
    "time_servers": (42, "addresses"),
    "requested_address": (50, "address"),
    "lease_s": (51, "!I"),
    "message_type": (53, "message"),
    "server": (54, "address"),
    "parameters": (55, "numbers"),
    "message": (56, "text"),
    "maximum_size": (57, "!H"),
    "renewal_s": (58, "!I"),
    "rebinding_s": (59, "!I"),
    "vendor_class": (60, "text"),
    "client_identifier": (61, "bytes"),
}
_NAMES = {number: (name, form) for name, (number, form) in _OPTIONS.items()}


def _data(form: str, values: tuple[Any, ...]) -> bytes:
    if form in ("address", "addresses"):
        return b"".join(address_bytes(each, socket.AF_INET) for each in values)
    if form == "numbers":
        return bytes(values)
    (value,) = values
    if form == "text":
        return value.encode() if isinstance(value, str) else bytes(value)
    if form == "message":
        return bytes([value if isinstance(value, int) else _MESSAGES[value]])
    if form == "bytes":
        return bytes(value)
    return struct.pack(form, value)


def _values(form: str, data: bytes) -> tuple[Any, ...] | None:
    """The data of an option in words; ``None`` where it is not of that form."""
    if form in ("address", "addresses"):
        if not data or len(data) % 4 or (form == "address" and len(data) != 4):
            return None
        return tuple(socket.inet_ntoa(data[at : at + 4]) for at in range(0, len(data), 4))
    if form == "numbers":
        return tuple(data)
    if form == "text":
        return (data.decode(),) if data.isascii() else (data,)
    if form == "message":
        words = {number: word for word, number in _MESSAGES.items()}
        return (words.get(data[0], data[0]),) if len(data) == 1 else None
    if form == "bytes":
        return (data,)
    return struct.unpack(form, data) if len(data) == struct.calcsize(form) else None


def _option(option: tuple[Any, ...]) -> bytes:
    kind, *values = option
    number, form = _OPTIONS.get(kind, (kind, "bytes"))
    if not isinstance(number, int):
        raise UsageError(f"no option {kind!r} of DHCP: one of {', '.join(_OPTIONS)}, or a number with bytes")
    try:
        data = _data(form, tuple(values))
    except KeyError as error:
        raise UsageError(f"no message type {error.args[0]!r} of DHCP: one of {', '.join(_MESSAGES)}") from None
    except (TypeError, ValueError, struct.error) as error:
        raise UsageError(f"{option!r} is no such option of DHCP: {error}") from error
    return bytes([within("the number of an option", number, 8), within("the length of an option", len(data), 8)]) + data


@dataclasses.dataclass(frozen=True, repr=False)
class DHCP(Layer):
    """A message of DHCP, in UDP from port 68 to 67 (a server's go the other way: give the ports).

    ``options`` are, in order, ``("message_type", "discover")``, ``("requested_address", "10.0.0.9")``, ``("routers", "10.0.0.1")``,
    ``("lease_s", 3600)``, ``("parameters", 1, 3, 6)``, … or (number, bytes). The end option is put behind them, then ``padding``.

    ``DHCP(client_hardware="02:00:00:00:00:01", options=(("message_type", "discover"),))``
    """

    udp_ports: ClassVar[tuple[int, int] | None] = (68, 67)

    operation: int = 1
    transaction: int = 0
    client_hardware: str | bytes = "00:00:00:00:00:00"
    options: tuple[tuple[Any, ...], ...] = ()
    client: str | bytes = "0.0.0.0"  # noqa: S104  no address yet
    yours: str | bytes = "0.0.0.0"  # noqa: S104
    next_server: str | bytes = "0.0.0.0"  # noqa: S104
    relay: str | bytes = "0.0.0.0"  # noqa: S104
    seconds: int = 0
    flags: int = 0
    hops: int = 0
    server_name: bytes = b""
    boot_file: bytes = b""
    padding: bytes = b""

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        head = struct.pack(
            "!BBBBIHH",
            within("operation", self.operation, 8),
            1,
            6,
            within("hops", self.hops, 8),
            within("transaction", self.transaction, 32),
            within("seconds", self.seconds, 16),
            within("flags", self.flags, 16),
        )
        ends = (self.client, self.yours, self.next_server, self.relay)
        addresses = b"".join(address_bytes(each, socket.AF_INET) for each in ends)
        if len(self.server_name) > 64 or len(self.boot_file) > 128:
            raise UsageError("server_name has at most 64 bytes, boot_file 128")
        names = self.server_name.ljust(64, b"\0") + self.boot_file.ljust(128, b"\0")
        hardware = ethernet_bytes(self.client_hardware) + bytes(10)
        options = b"".join(map(_option, self.options)) + bytes([_END])
        return head + addresses + hardware + names + _MAGIC + options + self.padding + payload

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The message that these bytes are; ``None`` for BOOTP, other hardware than Ethernet, and cut ones."""
        if (
            len(data) < _FIXED + 5
            or data[1:3] != b"\x01\x06"
            or data[_FIXED : _FIXED + 4] != _MAGIC
            or any(data[34:44])
        ):
            return None
        operation, _, _, hops, transaction, seconds, flags = struct.unpack_from("!BBBBIHH", data)
        options = []
        at = _FIXED + 4
        while at < len(data) and data[at] not in (_END, _PAD):
            length = data[at + 1] if at + 1 < len(data) else 256
            part = data[at + 2 : at + 2 + length]
            if len(part) < length:
                return None
            name, form = _NAMES.get(data[at], (data[at], "bytes"))
            values = _values(form, part)
            options.append((data[at], part) if values is None else (name, *values))
            at += 2 + length
        # Padding between options has no place here.
        if at >= len(data) or data[at] != _END:
            return None
        found = cls(
            operation,
            transaction,
            data[28:34].hex(":"),
            tuple(options),
            client=socket.inet_ntoa(data[12:16]),
            yours=socket.inet_ntoa(data[16:20]),
            next_server=socket.inet_ntoa(data[20:24]),
            relay=socket.inet_ntoa(data[24:28]),
            seconds=seconds,
            flags=flags,
            hops=hops,
            server_name=data[44:108].rstrip(b"\0"),
            boot_file=data[108:236].rstrip(b"\0"),
            padding=data[at + 1 :],
        )
        return found, b""
