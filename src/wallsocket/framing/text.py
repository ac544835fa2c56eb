r"""Framings named in one word, for command lines and configuration files."""

from __future__ import annotations

import re
from typing import Literal, cast

from .delimited import Delimited
from .fixed_length import FixedLength
from .length_prefixed import LengthPrefixed
from .protocol import DEFAULT_MAX_MESSAGE, Framing
from .until_close import UntilClose

__all__ = ["GRAMMAR", "from_text"]

#: What `from_text` reads, for help texts.
GRAMMAR = (
    "lines | fixed:N | until-close | delimited:BYTES[:ESCAPE] | prefixed:1|2|4|8[le][+header] | varint[+header] "
    r"(BYTES may hold \n \r \t \0 \xHH \\ \:)"
)

_ESCAPED = re.compile(r"\\(x[0-9a-fA-F]{2}|.)")
_NAMED = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "\\": "\\", ":": ":"}


def _bytes(text: str) -> bytes:
    def replace(found: re.Match[str]) -> str:
        name = found[1]
        if len(name) == 3:
            return chr(int(name[1:], 16))
        if name not in _NAMED:
            raise ValueError(f"\\{name} is not a known escape; known are \\n \\r \\t \\0 \\xHH \\\\ \\:")
        return _NAMED[name]

    if text.isascii():
        return _ESCAPED.sub(replace, text).encode("latin-1")
    return text.encode()


def from_text(text: str, *, max_message: int = DEFAULT_MAX_MESSAGE) -> Framing[bytes]:
    r"""Return the framing that ``text`` names (see `GRAMMAR`).

    >>> from_text("prefixed:2le+header", max_message=1000)
    LengthPrefixed(2, order="little", includes_header=True, max_message=1000)
    >>> from_text(r"delimited:\r\n")
    Delimited(b'\r\n', escape=None, strict=True, max_message=1048576)

    Raises:
        ValueError: no such framing.
    """
    name, _, rest = text.partition(":")
    if name == "lines" and not rest:
        return Delimited(b"\n", strict=False, max_message=max_message)
    if name == "until-close" and not rest:
        return UntilClose(max_message=max_message)
    if name == "fixed" and rest.isdecimal():
        return FixedLength(int(rest))
    if name == "delimited" and rest:
        parts = re.split(r"(?<!\\):", rest)
        if len(parts) <= 2:
            escape = _bytes(parts[1]) if len(parts) == 2 else None
            return Delimited(_bytes(parts[0]), escape=escape, max_message=max_message)
    includes_header = text.endswith("+header")
    text = text.removesuffix("+header")
    if text == "varint":
        return LengthPrefixed("varint", includes_header=includes_header, max_message=max_message)
    if found := re.fullmatch(r"prefixed:([1248])(le|be)?", text):
        width = cast(Literal[1, 2, 4, 8], int(found[1]))
        order: Literal["big", "little"] = "little" if found[2] == "le" else "big"
        return LengthPrefixed(width, order=order, includes_header=includes_header, max_message=max_message)
    raise ValueError(f"no framing is named {text!r}; write {GRAMMAR}")
