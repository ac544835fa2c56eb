"""What leaves with an export, and what stays: payload, argument values and Unix paths only where they are asked for.

Nothing here guesses what is a secret: what a program sent, the words of its command line that do not tell its name, the
values of its calls' arguments and the names of its Unix sockets are left out, or replaced by ``…`` where they stand in
a text.
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import Any, Final

from ..._core import segments
from ...events import Call, Packet, Process
from ...kernel import names as naming
from ...kernel import program
from ...kernel.address import Address, end_of, place_of
from ..calls import CallText
from ..dns import asked_name
from ..labels import process_label
from ..recording import Recording
from ..text import escape

__all__ = ["Discretion"]

#: In the place of what was left out of a text.
LEFT_OUT: Final = "…"
#: Shorter words of a command line tell nothing, and stand in any text by chance.
_SHORTEST: Final = 4
#: Payload and paths that are searched for words of findings: what has more is not looked through to its end.
_MOST_BYTES: Final = 64 << 20
#: Texts whose telling form is remembered: titles come again and again.
_REMEMBERED: Final = 4096
#: Bytes in hexadecimal digits.
_HEX: Final = re.compile(r"\b[0-9a-f]{2}(?: [0-9a-f]{2}){2,}\b")
#: What stands before the name of a Unix socket in a title or a sentence.
_NAMING: Final = r"(?:(?<=[@/:'\"`])|(?<=[→←] )|(?<=listener ))"
#: What may be a name, a key or a path: words with something in them that plain English has not.
_TELLING: Final = re.compile(r"[\w.~%/+=@:?&-]{6,}")
_PLAIN: Final = re.compile(r"[A-Za-z]?[a-z]+(?:-[a-z]+)*[.:,]?|[\d.:]+|\[?[0-9a-f:.]+\]?(?::\d+)?")


class Discretion:
    """Says what of a recording is told.

    Args:
        recording: what is exported.
        with_payload: everything is.
    """

    def __init__(self, recording: Recording, *, with_payload: bool) -> None:
        self.with_payload = with_payload
        self._recording = recording
        self._said: dict[str, str] = {}
        self._calls = CallText(recording.meta.get("machine", ""), payload_bytes=64 if with_payload else 0)

    def name(self, call: Call) -> str:
        """The name of a call."""
        return self._calls.name(call)

    def role(self, call: Call) -> Any:
        """What a call does to a conversation."""
        return self._calls.role(call)

    def call(self, call: Call) -> str:
        """A call in words: with all its arguments, or only with what it moved and how it ended."""
        if self.with_payload:
            return self._calls.full(call)
        text = f"{self._calls.name(call)}({call.length if call.length is not None else ''})"
        if call.result is None:
            return f"{text} has not returned"
        return f"{text} = {naming.error(call.errno) if call.errno is not None else call.result}"

    def address(self, raw: bytes | None) -> str | None:
        """An address as text; of a Unix socket only that it is one."""
        if raw is None:
            return None
        if end_of(raw) is not None or self.with_payload:
            return escape(naming.address(raw))
        if Address.decode(raw).family != 1:
            return escape(naming.address(raw))
        return f"unix:{LEFT_OUT}" if place_of(raw) is not None else "unix:"

    def process(self, process: Process | None) -> str:
        """The name of a program; its arguments never stand in it."""
        return self.text(process_label(process))

    def frame(self, packet: Packet) -> bytes:
        """A frame as far as it is told: all that was kept, or what is a header beyond doubt."""
        if self.with_payload:
            return packet.frame
        return segments.headers(packet.link_type & 0xFFFFFFFF, packet.frame, packet.length & 0xFFFFFFFF)

    def text(self, text: str) -> str:
        """A sentence of a finding, a title or a label, without what is not told."""
        if self.with_payload or not text:
            return text
        said = self._said.get(text)
        if said is None:
            if len(self._said) >= _REMEMBERED:
                self._said.clear()
            said = self._said[text] = self._without_secrets(text)
        return said

    def _without_secrets(self, text: str) -> str:
        text = _TELLING.sub(lambda found: LEFT_OUT if self._was_sent(found[0]) else found[0], text)
        if self._secret is not None:
            text = self._secret.sub(LEFT_OUT, text)
        return _HEX.sub(LEFT_OUT, text)

    def value(self, value: Any) -> Any:
        """The same of texts in objects of JSON."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {key: self.value(item) for key, item in value.items()}
            case list() | tuple():
                return [self.value(item) for item in value]
        return value

    # -- what is not told

    @cached_property
    def _secret(self) -> re.Pattern[str] | None:
        """Names of Unix sockets and words of command lines, the longest first."""
        names: set[str] = set()
        recording = self._recording
        for item in recording.sockets.values():
            names |= _unix_names(item.local) | _unix_names(item.remote)
        for call in recording.calls():
            names |= _unix_names(call.address)
        words: set[str] = set()
        told: set[str] = set()
        commands = [process.command for process in recording.processes.values()]
        commands += [recording.meta.get("command")]
        commands += [mark.text for mark in recording.marks() if mark.kind == "exec"]
        for command in commands:
            given = program.command_words(command)
            told.add(program.name(given))
            words |= {word for word in given[1:] if len(word) >= _SHORTEST and not word.isdecimal()}
        for source in recording.sources.values():
            # The line of code is what an export is for.
            told |= {source.file or "", (source.file or "").rpartition("/")[2]}
        words = {word for word in words | names if word not in told and not _PLAIN.fullmatch(word)}
        asked = self._asked - told
        # A name that is a word of English stands for itself only where a name stands.
        parts = [
            _one_of(words),
            _NAMING + _one_of(names) + r"(?!\w)" if names else "",
            rf"(?<![\w.-])(?i:{_one_of(asked)})(?![\w-])" if asked else "",
        ]
        return re.compile("|".join(filter(None, parts))) if any(parts) else None

    @cached_property
    def _asked(self) -> set[str]:
        """Names that were asked for by DNS: those are written in small letters, however they were sent."""
        found: set[str] = set()
        for call in self._recording.calls():
            found |= _questions(call.payload)
        for packet in self._recording.packets():
            segment = segments.segment(packet.link_type & 0xFFFFFFFF, packet.frame, packet.length & 0xFFFFFFFF)
            found |= _questions(segment.payload if segment is not None else None)
        return found

    @cached_property
    def _sent(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        for call in self._recording.calls():
            for part in (call.payload, call.value):
                if part and size < _MOST_BYTES:
                    parts.append(part)
                    size += len(part)
        for packet in self._recording.packets():
            if size < _MOST_BYTES:
                parts.append(packet.frame)
                size += len(packet.frame)
        return b"\0".join(parts)

    @cached_property
    def _told(self) -> frozenset[str]:
        """Words that are told whoever sent them: addresses and lines of code."""
        words: set[str] = set()
        for item in self._recording.sockets.values():
            for raw in (item.local, item.remote):
                if end_of(raw) is not None and raw is not None:
                    text = naming.address(raw)
                    words |= {text, text.rpartition(":")[0]}
        for source in self._recording.sources.values():
            file = source.file or ""
            words |= {file, file.rpartition("/")[2]}
        return frozenset(words)

    def _was_sent(self, word: str) -> bool:
        if _PLAIN.fullmatch(word) or any(
            part in self._told for part in (word, word.rpartition(":")[0], word.strip(".:,"))
        ):
            return False
        word = word.strip(".:,?")
        return len(word) >= 6 and (word.encode("utf-8", "surrogatepass") in self._sent or _spread(word) in self._sent)


def _questions(payload: bytes | None) -> set[str]:
    """The names that bytes ask for, over UDP or behind their length over TCP (RFC 1035, 4.2.2)."""
    names = (asked_name(payload[start:]) for start in (0, 2)) if payload else ()
    return {name for name in names if name is not None and len(name) >= _SHORTEST}


def _one_of(words: set[str]) -> str:
    """A pattern of words, also as they are shown, the longest first."""
    shown = sorted(words | {escape(word) for word in words}, key=lambda word: (-len(word), word))
    return f"(?:{'|'.join(map(re.escape, shown))})" if shown else ""


def _spread(name: str) -> bytes:
    """A host's name as DNS sends it: the length of each label before it (RFC 1035, 3.1)."""
    labels = [label.encode("utf-8", "surrogatepass")[:63] for label in name.split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels)


def _unix_names(raw: bytes | None) -> set[str]:
    place = place_of(raw) if raw is not None and raw[:2] == b"\1\0" else None
    if not isinstance(place, bytes):
        return set()
    name = place.lstrip(b"\0").decode("utf-8", "backslashreplace")
    # Also as JSON has it, and the file alone: findings may name either.
    names = {name, json.dumps(name)[1:-1], name.rpartition("/")[2], name.rpartition("/")[0]}
    return {one for one in names if len(one) >= _SHORTEST}
