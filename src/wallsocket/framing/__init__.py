r"""How a byte stream is cut into messages. Sans-IO: bytes in, messages out.

A TCP connection carries bytes, not messages: what one ``send`` wrote may come in many pieces, and many writes in one.
A framing makes messages of them again:

>>> from wallsocket import framing
>>> lines = framing.Delimited(b"\n")
>>> lines.encode(b"hello")
b'hello\n'
>>> decoder = lines.decoder()
>>> decoder.feed(b"hel"), decoder.feed(b"lo\nwor"), decoder.feed(b"ld\n")
([], [b'hello'], [b'world'])

`FixedLength`, `UntilClose`, `Delimited` and `LengthPrefixed` are compiled; `Custom` makes a framing of one Python
generator. All of them obey the same laws: the messages do not depend on the pieces; each byte is looked at a bounded
number of times; no more than one unfinished message of at most ``max_message`` bytes is kept; a stream that ends inside
a message is an error that says how many bytes were missing.
"""

from __future__ import annotations

from ..errors import CutMessage, FramingError, MalformedMessage, MessageTooLong, UnsendableMessage
from .custom import Custom, Reader
from .delimited import Delimited
from .fixed_length import FixedLength
from .length_prefixed import LengthPrefixed
from .protocol import DEFAULT_MAX_MESSAGE, Decoder, Framing, messages
from .text import from_text
from .until_close import UntilClose

__all__ = [
    "DEFAULT_MAX_MESSAGE",
    "Custom",
    "CutMessage",
    "Decoder",
    "Delimited",
    "FixedLength",
    "Framing",
    "FramingError",
    "LengthPrefixed",
    "MalformedMessage",
    "MessageTooLong",
    "Reader",
    "UnsendableMessage",
    "UntilClose",
    "from_text",
    "messages",
]
