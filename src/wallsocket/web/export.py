"""The page as one file that opens from a disk: the same modules, and the views of one recording in place of a server."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any, Final

import msgspec

from ..errors import RecordingError, UsageError
from ..files import whole
from ..trace.export.discretion import Discretion
from ..trace.recording import Recording
from ..trace.wire import summary
from ..view import Snapshot, ask
from .files import static_files

__all__ = ["html"]

#: Conversations, and lines of ladders, that one file holds at most: a browser reads them all at once.
_CONVERSATIONS: Final = 300
_LINES: Final = 30_000
_WINDOW: Final = 500
_WIDTH: Final = 2000
#: ``from "./name.mjs"`` becomes ``from "name.mjs"``, which the import map finds: a data URL has no folder to be relative to.
_IMPORT: Final = re.compile(rb'(\bfrom\s*")\./([\w.]+")')
#: The first module.
_START: Final = "app.mjs"
#: Parts of a ladder's line that are calls in words.
_CALLS: Final = frozenset({"call", "failed"})


def html(
    recording: Recording | str | Path, path: str | Path, *, with_payload: bool = False, replace: bool = False
) -> None:
    """Write the page of a recording into one file.

    Args:
        recording: a finished recording, or its file.
        path: the new file, made with mode 0600.
        with_payload: also what was sent, argument values and Unix paths.
        replace: an older file may stand there.

    Raises:
        RecordingError: it cannot be read, or has no file.
        UsageError: the file cannot be written there.
    """
    source = recording.path if isinstance(recording, Recording) else Path(recording)
    if source is None:
        raise RecordingError("a recording without a file has no page")
    with Snapshot.open(source) as snapshot:
        data = _Views(snapshot, with_payload=with_payload).all()
    try:
        with whole(path, replace=replace) as file:
            file.write(_document(data))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


class _Views:
    """The answers to all that the page may ask, as far as one file holds them."""

    def __init__(self, snapshot: Snapshot, *, with_payload: bool) -> None:
        self._snapshot = snapshot
        self._told = Discretion(snapshot.recording, with_payload=with_payload)
        self._rows: set[tuple[str, int]] = set()

    def all(self) -> dict[str, Any]:
        """By the name of the view, and then by what is asked for."""
        overview = self._plain(self._ask("overview", count=_WINDOW))
        conversations = self._plain(self._ask("conversations", count=_CONVERSATIONS))
        ladders: dict[str, Any] = {}
        lines = 0
        for card in conversations["cards"]:
            if lines < _LINES:
                ladders[card["key"]] = self._ladder(card["key"])
                lines += len(ladders[card["key"]]["rungs"])
        kept = [card for card in conversations["cards"] if card["key"] in ladders]
        left = conversations["matching"] - len(kept)
        conversations["cards"] = kept
        if not self._told.with_payload:
            overview = self._discreet_overview(overview)
        if left:
            overview["warnings"].append(f"This file holds {len(kept)} conversations; the recording has {left} more.")
        data: dict[str, Any] = {
            "overview": overview,
            "conversations": conversations,
            "ladder": ladders,
            "finding": {str(card["number"]): self._finding(card["number"]) for card in overview["findings"]},
            "topology": {"": self._plain(self._ask("topology"))},
            "states": {key: self._states(key) for key in ladders},
        }
        for name in ("sequence", "river", "gauges"):
            data[name] = {
                f"{key}:{side}": self._plain(self._ask(name, conversation=key, side=side, width=_WIDTH))
                for key in ladders
                for side in ("left", "right")
            }
        for page in data["finding"].values():
            self._rows |= {(proof["table"], proof["row"]) for proof in page["proof"] if proof["conversation"]}
        data["detail"] = {f"{table}:{row}": self._detail(table, row) for table, row in sorted(self._rows)}
        return data

    def _ask(self, name: str, **arguments: Any) -> msgspec.Struct:
        return ask(self._snapshot, name, arguments)

    def _plain(self, struct: msgspec.Struct) -> Any:
        """For JSON, without what is not told."""
        value = msgspec.to_builtins(struct)
        return value if self._told.with_payload else self._told.value(value)

    def _ladder(self, key: str) -> dict[str, Any]:
        rungs: list[Any] = []
        found: Any = None
        while found is None or len(rungs) < min(found.total, _LINES):
            found = self._ask("ladder", conversation=key, first=len(rungs), count=_WINDOW)
            rungs += found.rungs
        groups = []
        for level in range(1, found.levels):
            far: Any = self._ask("ladder", conversation=key, level=level, count=_WINDOW)
            # A level with more groups than one answer holds is not needed: the lines themselves are there.
            groups.append(msgspec.to_builtins(far.rungs) if far.total <= _WINDOW else None)
        # Levels are counted from the nearest: what is left out must be the first ones.
        while groups and groups[0] is None:
            groups.pop(0)
        lines = [self._line(rung) for rung in rungs]
        return {**self._plain(msgspec.structs.replace(found, rungs=[])), "rungs": lines, "groups": groups}

    def _line(self, rung: Any) -> Any:
        line = rung.line
        for table, ids in (("call", line.calls[:1]), ("packet", line.packets[:1]), ("state", line.states)):
            self._rows |= {(table, number) for number in ids}
        value = msgspec.to_builtins(rung)
        if self._told.with_payload:
            return value
        said = value["line"]
        if line.calls and (call := self._snapshot.recording.call(line.calls[0])) is not None:
            for part in (*said["left"], *said["right"]):
                if part["kind"] in _CALLS:
                    part["text"] = self._told.call(call)
        if (arrow := said["arrow"]) is not None:
            # What a payload was recognised as quotes it; of an ICMP error it is what a router said.
            if arrow["label"] and arrow["length"]:
                arrow["text"] = arrow["text"].replace(arrow["label"], "").strip()
            arrow["label"], arrow["payload"] = None, ""
        value["line"] = self._told.value(said)
        return value

    def _finding(self, number: int) -> Any:
        value = self._plain(self._ask("finding", number=number))
        if not self._told.with_payload and value["code"] is not None:
            value["code"]["lines"] = []
        return value

    def _states(self, key: str) -> Any:
        found: Any = self._ask("states", conversation=key)
        value = self._plain(found)
        for told, socket in zip(value["sockets"], found.sockets, strict=True):
            # The drawing is numbers, which look like bytes in hexadecimal.
            told["edges"] = msgspec.to_builtins(socket.edges)
        return value

    def _detail(self, table: str, row: int) -> Any:
        found: Any = self._ask("detail", table=table, row=row)
        value = msgspec.to_builtins(found)
        if self._told.with_payload:
            return value
        value |= {"payload": "", "frame": "", "facts": [fact for fact in value["facts"] if fact["name"] != "holds"]}
        value = self._told.value(value)
        recording = self._snapshot.recording
        if table == "call" and (call := recording.call(row)) is not None:
            value["title"] = self._told.call(call)
        elif table == "packet" and (packet := recording.packet(row)) is not None:
            headers = self._told.frame(packet)
            value["title"] = summary(msgspec.structs.replace(packet, frame=headers))
            value["frame"] = base64.b64encode(headers).decode()
            value["fields"] = [field for field in value["fields"] if field[0] + field[1] <= len(headers)]
        if found.place is not None:
            # Where the code is, is what an export is for; what it says may be what was sent.
            value["place"] = msgspec.to_builtins(msgspec.structs.replace(found.place, text=""))
        return value

    def _discreet_overview(self, overview: dict[str, Any]) -> dict[str, Any]:
        processes = self._snapshot.recording.processes
        for card in overview["processes"]:
            card["command"] = self._told.process(processes.get(card["id"]))
        first = next(iter(processes.values()), None)
        overview["command"] = self._told.process(first) if first is not None else ""
        return overview


def _document(data: dict[str, Any]) -> bytes:
    files = static_files()
    # Nothing is played in a file.
    style = b"\n".join(content for name, content in files.items() if name.endswith(".css") and name != "learn.css")
    modules = {
        name: "data:text/javascript;base64," + base64.b64encode(_IMPORT.sub(rb"\1\2", content)).decode()
        for name, content in files.items()
        if name.endswith(".mjs")
    }
    found = msgspec.json.encode({"imports": modules})
    start = f'import "{_START}";'.encode()
    policy = (
        f"default-src 'none'; script-src {_hash(found)} {_hash(start)} data:; style-src {_hash(style)}; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    # Nothing in it ends the element: JSON may have this character in another form.
    text = msgspec.json.encode(data).replace(b"<", b"\\u003c")
    return b"".join(
        (
            b'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            b'<meta name="viewport" content="width=device-width, initial-scale=1">'
            b'<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
            b'<meta http-equiv="Content-Security-Policy" content="',
            policy.encode(),
            b'"><title>Wallsocket</title><style>',
            style,
            b'</style><script type="importmap">',
            found,
            b'</script><script type="application/json" id="recording">',
            text,
            b'</script></head><body><script type="module">',
            start,
            b"</script></body></html>\n",
        )
    )


def _hash(content: bytes) -> str:
    """A source of the policy for what stands in the page itself (Content Security Policy Level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"
