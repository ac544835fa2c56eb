"""One message per connection."""

from __future__ import annotations

from typing import Self

from .._core import framing as _core
from .protocol import DEFAULT_MAX_MESSAGE

__all__ = ["UntilClose"]


class UntilClose(_core.UntilClose):
    """All bytes until the end of the stream are one message.

    A stream of ours half-closes after its message, which is how the peer learns of the end. A connection that breaks
    cannot be told from one that ended well, unless it breaks by a reset.

    Args:
        max_message: bytes that the message may have.
    """

    __slots__ = ()

    def __new__(cls, *, max_message: int = DEFAULT_MAX_MESSAGE) -> Self:
        """Describe the framing."""
        return super().__new__(cls, max_message)
