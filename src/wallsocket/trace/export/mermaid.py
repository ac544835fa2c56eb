"""Mermaid: a sequence diagram of who said what to whom, for Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Final

from ..lines import Line
from .material import Material

__all__ = ["write"]

#: Messages and notes that a picture can bear.
_MOST_LINES: Final = 400
#: Characters of one text: a wider diagram is not read.
_MOST_TEXT: Final = 110
#: Characters that have no meaning to Mermaid, nor to HTML.
_PLAIN: Final = frozenset(" .,()/_=+-·×…→←⋮@*'!?[]:")


def write(material: Material, file: IO[bytes]) -> None:
    """Write the recording."""
    for line in _lines(material):
        file.write(line.encode() + b"\n")


def _lines(material: Material) -> Iterator[str]:
    recording, timeline = material.recording, material.timeline
    yield "sequenceDiagram"
    shown = [item for item in timeline.wanted() if timeline.says_much(item)]
    if not shown:
        yield "    participant nobody"
        yield "    Note over nobody: no conversation was recorded"
        return
    used = {socket for item in shown for socket in (item.left, item.right) if socket is not None}
    for number in sorted({recording.sockets[socket].process for socket in used}):
        process = recording.processes.get(number)
        pid = f" (pid {process.pid})" if process is not None else ""
        yield f"    participant p{number} as {_text(material.discretion.process(process) + pid)}"
    ends: dict[int, str] = {}
    for item in shown:
        if item.right is None and item.kind in ("tcp", "udp", "unix"):
            ends[item.number] = f"e{item.number}"
            row = recording.sockets[item.left]
            far = material.discretion.address(row.remote) or "other end"
            yield f"    participant e{item.number} as {_text(f'{far} (not traced)')}"
    merged = sorted(
        (
            (line.at_ns, item.number, position, line)
            for item in shown
            for position, line in enumerate(material.lines[item.number][1])
        ),
        key=lambda entry: entry[:3],
    )
    sides = {
        item.number: (
            f"p{recording.sockets[item.left].process}",
            f"p{recording.sockets[item.right].process}" if item.right is not None else ends.get(item.number, ""),
        )
        for item in shown
    }
    written = 0
    last = None
    for _, number, _, line in merged:
        for text in _of(material, line, sides[number]):
            if written == _MOST_LINES:
                yield f"    Note over {sides[number][0]}: the rest was left out: {len(merged)} lines in all"
                yield from _findings(material)
                return
            if last != number and len(shown) > 1:
                title = material.discretion.text(material.lines[number][0].title)
                yield f"    Note over {sides[number][0]}: {_text(title)}"
            last = number
            written += 1
            yield f"    {text}"
    yield from _findings(material)


def _of(material: Material, line: Line, sides: tuple[str, str]) -> Iterator[str]:
    own, other = sides if line.side == "left" else sides[::-1]
    if not own:
        own = other
    if line.note:
        yield f"Note over {sides[0]}: {_text(line.note)}"
        return
    call = material.call(line.calls[-1]) if line.calls else None
    words = ""
    if call is not None:
        source = material.source(call)
        where = f"{(source.file or '').rpartition('/')[2]}:{source.line} " if source is not None else ""
        times = f" ×{line.times}" if line.times > 1 else ""
        words = f"{material.discretion.text(where)}{material.discretion.call(call)}{times}"
    if line.arrow is not None and other:
        travelled = _travelled(line)
        arrow = "--x" if line.arrow.failure else "->>"
        yield f"{own}{arrow}{other}: {_text(f'{words} · {travelled}' if words else travelled)}"
    elif words:
        yield f"Note over {own}: {_text(words)}"
    states = [part.text for part in (*line.left, *line.right) if part.kind == "state"]
    if states:
        yield f"Note over {own}: {_text(', '.join(states))}"


def _travelled(line: Line) -> str:
    """What an arrow stands for, without its payload and label."""
    arrow = line.arrow
    assert arrow is not None
    if not arrow.length:
        return arrow.text if not arrow.label else "ICMP error" if arrow.failure else "datagram"
    again = " again" if arrow.again else ""
    return f"{arrow.length} bytes{again}" + (f" in {arrow.segments} segments" if arrow.segments > 1 else "")


def _findings(material: Material) -> Iterator[str]:
    for finding in material.findings:
        socket = material.recording.sockets.get(finding.socket.id) if finding.socket is not None else None
        drawn = socket is not None and any(
            socket.id in (i.left, i.right) for i in material.timeline.wanted() if material.timeline.says_much(i)
        )
        if socket is not None and drawn:
            place = f"{finding.file.rpartition('/')[2]}:{finding.line} " if finding.file is not None else ""
            told = material.discretion.text(finding.title)
            yield f"    Note over p{socket.process}: {_text(f'finding {finding.rank}: {place}{told}')}"


def _text(text: str) -> str:
    """Text that Mermaid takes as text: what has a meaning to it, or to HTML, is written as a code (#35; is #)."""
    if len(text) > _MOST_TEXT:
        text = f"{text[: _MOST_TEXT - 1]}…"
    told = "".join(
        character if character.isalnum() or character in _PLAIN else f"#{ord(character)};" for character in text
    )
    # A keyword of its own, wherever it stands.
    return re.sub(r"\bend\b", "e#110;d", told, flags=re.IGNORECASE)
