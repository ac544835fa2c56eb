"""The question of a DNS message (RFC 1035, 4.1), as far as bytes that were sent look like one."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["HEADER", "asked_name"]

#: Bytes of a message before its question.
HEADER: Final = 12
#: Operation code and the bit that is reserved: zero in queries and their answers.
_ZERO_FLAGS: Final = 0x7840
#: Records of a section of one message; what counts more is no message of DNS.
_MOST_RECORDS: Final = 256


def asked_name(message: bytes) -> str | None:
    """The name that a message asks for, as it was sent; ``None``: it is no question, nor an answer to one.

    Args:
        message: of UDP, or of TCP without the two bytes of its length; the end may be missing.
    """
    if len(message) <= HEADER:
        return None
    _, flags, questions, *records = struct.unpack_from(">6H", message)
    if questions != 1 or flags & _ZERO_FLAGS or max(records) > _MOST_RECORDS:
        return None
    labels: list[str] = []
    at = HEADER
    while at < len(message) and (length := message[at]):
        if length > 63:
            return None
        labels.append(message[at + 1 : at + 1 + length].decode("utf-8", "backslashreplace"))
        at += 1 + length
    if message[at + 3 : at + 5] not in (b"\0\1", b"\x80\1", b"\0", b""):
        return None  # neither Internet (also asked for by unicast, RFC 6762 5.4) nor cut off
    return ".".join(labels) or None
