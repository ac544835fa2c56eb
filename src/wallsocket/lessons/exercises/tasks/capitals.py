"""What the answers of a service for capital letters tell of its mistakes."""

from __future__ import annotations

from typing import Final

from ..stage import Client, Mismatch

__all__ = ["expect"]

#: So many bytes that only another client has sent are no chance.
_TELLING_BYTES: Final = 3


def expect(client: Client, wanted: bytes) -> None:
    """Expect this answer; another one names the mistake where it tells it."""
    try:
        client.expect(wanted)
    except Mismatch as mismatch:
        if mismatch.kind in ("wrong answer", "ended early"):
            mismatch.mistake = _mistake(client, wanted)
        raise


def _mistake(client: Client, wanted: bytes) -> str | None:
    came = client.came
    begins = came[:_TELLING_BYTES].upper()
    if came.upper().startswith((b"B'", b'B"')):
        # What str() makes of bytes.
        return "bytes-as-text"
    if came != wanted and came in (wanted.strip(), wanted.lstrip(), wanted.rstrip()) and came:
        return "stripped"
    if came != came.upper() and came in client.sent:
        return "unchanged"
    if wanted.startswith(came) or len(begins) < _TELLING_BYTES or begins in client.sent.upper():
        return None
    return "mixes-clients" if any(begins in sent.upper() for sent in client.sent_by_others) else None
