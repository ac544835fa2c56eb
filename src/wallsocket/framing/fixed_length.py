"""Every message has the same number of bytes."""

from __future__ import annotations

from typing import Self

from .._core import framing as _core

__all__ = ["FixedLength"]


class FixedLength(_core.FixedLength):
    """Messages of exactly ``length`` bytes, one behind the other.

    Simple, and right where all messages are equal by nature; else the short ones waste space and the long ones do not
    fit. `encode` refuses a message of another length: how to fill it up is the protocol's affair.

    Args:
        length: bytes of a message, at least 1.
    """

    __slots__ = ()

    def __new__(cls, length: int) -> Self:
        """Describe the framing."""
        return super().__new__(cls, length)
