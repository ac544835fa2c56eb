"""The columns that frames can be decoded to, and the choice among them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .._core import wire as core
from ..errors import UsageError

__all__ = ["COLUMNS", "DEFAULT", "HEADERS", "checked"]

#: Every column: name and meaning.
COLUMNS: dict[str, str] = dict(core.COLUMNS)

#: What is made when no columns are named.
DEFAULT: tuple[str, ...] = tuple(core.DEFAULT_COLUMNS)

#: Time, lengths, addresses, and the header fields of TCP and UDP, as numbers and bytes only: the fastest useful set.
HEADERS: tuple[str, ...] = (
    "time",
    "captured_length",
    "original_length",
    "ethernet_destination",
    "ethernet_source",
    "ether_type",
    "vlan",
    "source_address",
    "destination_address",
    "ip_protocol",
    "ip_time_to_live",
    "ip_length",
    "source_port",
    "destination_port",
    "udp_length",
    "tcp_sequence_number",
    "tcp_acknowledgement_number",
    "tcp_flags",
    "tcp_window",
    "payload_length",
)


def checked(names: Iterable[str] | None) -> list[str]:
    """The names as a list, the default ones when there are none.

    Raises:
        UsageError: a name is no column, or stands twice.

    """
    chosen = list(DEFAULT if names is None else names)
    for name in chosen:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, 3)
            hint = f"; near: {', '.join(near)}" if near else "; wallsocket.wire.columns.COLUMNS lists them"
            raise UsageError(f"no column {name!r}{hint}")
        if chosen.count(name) > 1:
            raise UsageError(f"column {name!r} twice")
    return chosen
