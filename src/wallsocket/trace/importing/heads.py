"""What the bytes of a call say of messages, in the form of the facts ``http`` and ``text`` (docs/recording.md).

The tracer reads this from the program's memory; of a log only so many bytes are known as ``strace -s`` has shown. A head that
ends behind them is one whose length is unknown.
"""

from __future__ import annotations

import json
from typing import Any, Final

from ..._core import segments

__all__ = ["announced", "cut_character"]

#: Messages of one call that are looked at.
_MAX_MESSAGES: Final = 16
_MAX_DIGITS: Final = 18
#: Bodies that these answers never have (RFC 9112, 6.3).
_BODILESS: Final = (204, 304)


def announced(shown: bytes) -> str | None:
    """The heads of the HTTP/1 messages that begin in the bytes of a call, as JSON; ``None``: they begin with none."""
    found: list[dict[str, Any]] = []
    at = 0
    while at <= len(shown) and len(found) < _MAX_MESSAGES:
        rest = shown[at:]
        if segments.protocol(rest) != "http":
            if found:
                found[-1]["excess"] = len(rest.strip())
            break
        head = _head(rest)
        head["at"] = at
        found.append(head)
        if head["head"] is None or head["body"] is None:
            break
        at += head["head"] + head["body"]
    return json.dumps(found) if found else None


def _head(data: bytes) -> dict[str, Any]:
    method: str | None = None
    status: int | None = None
    length: int | None = None
    announced: int | None = None
    chunked = expects = False
    offset = 0
    for number, line in enumerate(data.splitlines(keepends=True)):
        if not line.endswith(b"\n"):
            break
        offset += len(line)
        text = line.rstrip()
        if not text:
            length = offset
            break
        if number == 0:
            words = text.split(b" ")
            if words[0].startswith(b"HTTP/"):
                status = _number(words[1]) if len(words) > 1 else None
            else:
                method = words[0].decode("latin-1")
            continue
        name, colon, value = text.partition(b":")
        value = value.strip()
        match name.lower() if colon else b"":
            case b"content-length":
                announced = _number(value)
            case b"transfer-encoding":
                chunked = value.rpartition(b",")[2].strip().lower() == b"chunked"
            case b"expect":
                expects = value.lower() == b"100-continue"
    body = None if chunked else announced
    if not chunked and ((status is None and announced is None) or _is_bodiless(status)):
        body = 0
    return {
        "at": 0,
        "head": length,
        "method": method,
        "status": status,
        "body": body,
        "chunked": chunked,
        "expects_continue": expects,
        "excess": 0,
    }


def _is_bodiless(status: int | None) -> bool:
    return status is not None and (100 <= status < 200 or status in _BODILESS)


def _number(digits: bytes) -> int | None:
    return int(digits) if digits.isdigit() and len(digits) <= _MAX_DIGITS else None


def cut_character(read: bytes) -> str | None:
    """That a read of UTF-8 text ends inside a character, as JSON; ``None``: it is no text, or whole."""
    try:
        read.decode()
        return None
    except UnicodeDecodeError as error:
        missing = len(read) - error.start
        if error.reason != "unexpected end of data" or not error.start:
            return None
        text = read[: error.start].decode()
    if any(not one.isprintable() and not one.isspace() for one in text):
        return None
    return json.dumps({"cut": missing})
