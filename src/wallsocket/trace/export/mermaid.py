"""Mermaid: a sequence diagram of who said what to whom, for Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Final

from ..conversations import Conversation
from ..labels import conversation_title
from ..lines import Line, Lines
from ..timeline import Timeline
from ..wire import segment
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
    # Bare acknowledgements, and calls that only ask, would hide the talk.
    timeline = Timeline(material.recording, decode=segment)
    made = Lines(timeline)
    shown = [item for item in timeline.wanted() if timeline.says_much(item)]
    yield "sequenceDiagram"
    if not shown:
        yield "    participant nobody as nobody"
        yield "    Note over nobody: no conversation was recorded"
        return
    people = _People(material, shown)
    yield from people.lines()
    lines = sorted(
        ((line.at_ns, item.number, position, line) for item in shown for position, line in enumerate(made.of(item))),
        key=lambda entry: entry[:3],
    )
    titles = {item.number: material.discretion.text(conversation_title(timeline, item)) for item in shown}
    written, last = 0, None
    for _, number, _, line in lines:
        sides = people.sides[number]
        for text in _of(material, line, sides):
            if written == _MOST_LINES:
                yield f"    Note over {sides[0]}: the rest was left out, {len(lines)} lines in all"
                break
            if last != number and len(shown) > 1:
                yield f"    Note over {','.join(dict.fromkeys(filter(None, sides)))}: {_text(titles[number])}"
            last = number
            written += 1
            yield f"    {text}"
        else:
            continue
        break
    for finding in material.findings:
        who = people.of_socket.get(finding.socket.id) if finding.socket is not None else None
        if who is not None:
            place = f"{finding.file.rpartition('/')[2]}:{finding.line} " if finding.file is not None else ""
            told = material.discretion.text(finding.title)
            yield f"    Note over {who}: {_text(f'finding {finding.rank}: {place}{told}')}"


class _People:
    """Who talks: processes, or sockets of one process that talk with each other, and ends that were not traced."""

    def __init__(self, material: Material, shown: list[Conversation]) -> None:
        self.sides: dict[int, tuple[str, str]] = {}
        self.of_socket: dict[int, str] = {}
        self._names: dict[str, str] = {}
        sockets, told = material.recording.sockets, material.discretion
        for item in shown:
            names: list[str] = []
            own = item.right is not None and sockets[item.left].process == sockets[item.right].process
            for socket in (item.left, item.right):
                if socket is None:
                    continue
                process = material.recording.processes.get(sockets[socket].process)
                title = told.process(process) + (f" (pid {process.pid})" if process is not None else "")
                name = f"s{socket}" if own else f"p{sockets[socket].process}"
                self._names[name] = f"{title} socket {socket}" if own else title
                self.of_socket[socket] = name
                names.append(name)
            if len(names) == 1:
                far = ""
                if item.kind in ("tcp", "udp", "unix"):
                    far = f"e{item.number}"
                    self._names[far] = f"{told.address(sockets[item.left].remote) or 'the other end'} (not traced)"
                names.append(far)
            self.sides[item.number] = (names[0], names[1])

    def lines(self) -> Iterator[str]:
        for name, title in self._names.items():
            yield f"    participant {name} as {_text(title)}"


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
        times = f" ×{line.times}" if line.times > 1 else ""
        words = f"{material.discretion.call(call)}{times}"
        where = material.discretion.text(material.where(call, short=True))
        if material.at_the_call(call):
            words = f"{where.removeprefix('at ')} {words}"
        elif where:
            words += f" {where}"
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


def _text(text: str) -> str:
    """Text that Mermaid takes as text: what has a meaning to it, or to HTML, is written as a code (#35; is #)."""
    if len(text) > _MOST_TEXT:
        text = f"{text[: _MOST_TEXT - 1]}…"
    told = "".join(
        character if character.isalnum() or character in _PLAIN else f"#{ord(character)};" for character in text
    )
    # A keyword of its own, wherever it stands.
    return re.sub(r"\bend\b", "e#110;d", told, flags=re.IGNORECASE)
