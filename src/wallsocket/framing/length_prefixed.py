"""Messages announce their length."""

from __future__ import annotations

from typing import Literal, Self

from .._core import framing as _core
from .protocol import DEFAULT_MAX_MESSAGE

__all__ = ["LengthPrefixed"]


class LengthPrefixed(_core.LengthPrefixed):
    r"""Messages behind their length: the usual choice for a new protocol.

    >>> LengthPrefixed(2).encode(b"hello")
    b'\x00\x05hello'
    >>> LengthPrefixed(2, order="little", includes_header=True).encode(b"hello")
    b'\x07\x00hello'

    Args:
        header: bytes of the length: 1, 2, 4, 8, or ``"varint"`` (LEB128, as Protocol Buffers write it).
        order: byte order of a length of fixed width.
        includes_header: the length counts its own bytes too.
        max_message: bytes that a message may have, without its header. An announced length beyond it raises
            `MessageTooLong` at once; an announced length never makes us reserve memory.
    """

    __slots__ = ()

    def __new__(
        cls,
        header: Literal[1, 2, 4, 8, "varint"] = 4,
        *,
        order: Literal["big", "little"] = "big",
        includes_header: bool = False,
        max_message: int = DEFAULT_MAX_MESSAGE,
    ) -> Self:
        """Describe the framing."""
        return super().__new__(cls, header, order, includes_header, max_message)
