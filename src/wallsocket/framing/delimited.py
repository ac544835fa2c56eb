r"""Messages end with a delimiter, as lines do."""

from __future__ import annotations

from typing import Self

from .._core import framing as _core
from .protocol import DEFAULT_MAX_MESSAGE

__all__ = ["Delimited"]


class Delimited(_core.Delimited):
    r"""Messages that end with ``delimiter``.

    Without ``escape``, `encode` refuses a message in which the receiver would see the delimiter too early. With it, a
    message may hold any bytes: the escape precedes each escape byte and each first byte of the delimiter.

    >>> Delimited(b"\n", escape=b"\\").encode(b"two\nlines")
    b'two\\\nlines\n'

    Args:
        delimiter: one or more bytes.
        escape: a single byte that is not part of the delimiter.
        strict: a last message without its delimiter raises `CutMessage`, an escape before a byte that needs none raises
            `MalformedMessage`; not strict, the former is a message and the latter stands for that byte.
        max_message: bytes that a message may have, without delimiter and escapes.
    """

    __slots__ = ()

    def __new__(
        cls,
        delimiter: bytes = b"\n",
        *,
        escape: bytes | None = None,
        strict: bool = True,
        max_message: int = DEFAULT_MAX_MESSAGE,
    ) -> Self:
        """Describe the framing."""
        return super().__new__(cls, delimiter, escape, strict, max_message)
