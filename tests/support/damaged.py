"""Recordings that somebody damaged, by accident or on purpose, given to everything that reads one.

    python -m tests.support.damaged SEED COUNT FOLDER GOOD.wsrec...

Damages COUNT copies, in bytes or in values, and looks at each as people and programs do. What it stops at is wrong: an
exception, more than one line for an error, text that does something to a terminal, a minute without an answer. Then FOLDER
has the file, ``bad.wsrec``, and in ``doing`` its number and what was asked.
"""

from __future__ import annotations

import contextlib
import io
import random
import resource
import shutil
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from wallsocket.cli import main
from wallsocket.errors import WallsocketError
from wallsocket.trace.recording import Recording
from wallsocket.view import asking
from wallsocket.view.snapshot import Snapshot, key_of

__all__ = ["Damager", "looks"]

_PAGE: Final = 4096
_ANSWER_S: Final = 60
_MEMORY: Final = 4 << 30
#: Values that no tracer writes, where one stands that it wrote.
_VALUES: Final[tuple[Any, ...]] = (
    *(-1, 0, 1, 2, 255, 65536, 2**31 - 1, 2**31, 2**32, 2**63 - 1, -(2**63), 1e308, float("inf"), -0.5),
    *(
        "",
        "x",
        "9" * 400,
        "\x1b[2J\x07",
        "\u202e\u2066",
        "{",
        "[" * 200,
        '{"a":' * 60,
        "<script>alert(1)</script>",
        "a\nb\rc",
    ),
    *(b"", b"\0", b"\xff" * 3, bytes(range(256)), b"\x02\0\x11\xd7\x7f\0\0\1", b"\n\0" + b"\xff" * 26, b"\1\0/\x1b[2J"),
)


class Damager:
    """Makes damaged copies of good recordings, the same ones from the same seed."""

    def __init__(self, seed: int, good: Sequence[Path], bad: Path) -> None:
        self.chance = random.Random(seed)
        self._good = [(path, path.read_bytes()) for path in good]
        self._bad = bad

    def damage(self) -> str:
        """Write one; what was done to it."""
        path, content = self.chance.choice(self._good)
        for name in ("", "-wal", "-shm", "-journal"):
            Path(f"{self._bad}{name}").unlink(missing_ok=True)
        kind = self.chance.choice(("bits", "bytes", "cut", "values", "values", "values", "swapped", "rows"))
        if kind in ("bits", "bytes", "cut"):
            self._bad.write_bytes(self._bytes(kind, bytearray(content)))
        else:
            shutil.copyfile(path, self._bad)
            with contextlib.closing(sqlite3.connect(self._bad, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("PRAGMA journal_mode = MEMORY")
                # Text that is no UTF-8 must be written as well.
                for _ in range(self.chance.choice((1, 1, 2, 5))):
                    with contextlib.suppress(sqlite3.Error):
                        getattr(self, f"_{kind}")(connection)
        return kind

    def _bytes(self, kind: str, content: bytearray) -> bytearray:
        chance = self.chance
        if kind == "cut":
            del content[chance.randrange(len(content)) :]
            return content
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            page = chance.randrange(len(content) // _PAGE) * _PAGE
            at = page + chance.randrange(chance.choice((120, _PAGE)))
            if kind == "bits":
                content[at] ^= 1 << chance.randrange(8)
            else:
                content[at] = chance.randrange(256)
        return content

    def _tables(self, connection: sqlite3.Connection) -> list[str]:
        return sorted(name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"))

    def _columns(self, connection: sqlite3.Connection) -> tuple[str, list[str]]:
        table = self.chance.choice(self._tables(connection))
        return table, [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]

    def _some_rows(self) -> str:
        return self.chance.choice(("", "WHERE random() % 2", "WHERE random() % 10 = 0", "WHERE random() % 50 = 0"))

    def _values(self, connection: sqlite3.Connection) -> None:
        table, columns = self._columns(connection)
        value = self.chance.choice((*_VALUES, None))
        column = self.chance.choice(columns)
        connection.execute(f'UPDATE "{table}" SET "{column}" = ? {self._some_rows()}', (value,))

    def _swapped(self, connection: sqlite3.Connection) -> None:
        """Columns of a table, or two tables, each in the place of the other."""
        table, columns = self._columns(connection)
        if self.chance.random() < 0.8:
            one, other = self.chance.choice(columns), self.chance.choice(columns)
            connection.execute(f'UPDATE "{table}" SET "{one}" = "{other}", "{other}" = "{one}" {self._some_rows()}')
            return
        other = self.chance.choice(self._tables(connection))
        for old, new in ((table, "between"), (other, table), ("between", other)):
            connection.execute(f'ALTER TABLE "{old}" RENAME TO "{new}"')

    def _rows(self, connection: sqlite3.Connection) -> None:
        """Rows that are gone, all or some, or that stand there twice under another number."""
        table, columns = self._columns(connection)
        if self.chance.random() < 0.5:
            connection.execute(f'DELETE FROM "{table}" {self._some_rows()}')
            return
        others = ", ".join(f'"{name}"' for name in columns[1:])
        shift = self.chance.choice((1, 1000, -1000, 2**62))
        first = f'"{columns[0]}" + {shift}' if columns[0] == "id" else f"\"{columns[0]}\" || '.'"
        connection.execute(
            f'INSERT OR IGNORE INTO "{table}" SELECT {first}, {others} FROM "{table}" {self._some_rows()}'
        )


def looks(bad: Path, good: Path, out: Path) -> dict[str, list[str]]:
    """Commands that read a recording, by a word for each."""
    shows = (
        "",
        "--calls",
        "--calls --stack",
        "--packets",
        "--states",
        "--summary",
        "--json",
        "--summary --json",
        "--all",
    )
    exports = ("pcapng", "perfetto", "qlog", "mermaid", "ndjson", "sarif", "otlp", "html")
    commands = {f"show {words}".strip(): ["show", str(bad), *words.split()] for words in shows}
    commands |= {
        f"show --wall-clock {word}": ["show", str(bad), word, "--wall-clock"] for word in ("--calls", "--states")
    }
    commands["show --socket 1"] = ["show", str(bad), "--all", "--socket", "1"]
    commands["show --process"] = ["show", str(bad), "--all", "--process", "broken.py"]
    commands |= {
        f"explain {word}".strip(): ["explain", str(bad), *word.split()] for word in ("", "-v", "--json", "--github")
    }
    for name in exports:
        words = ["export", str(bad), str(out), "--to", name, "--overwrite"]
        commands[f"export {name}"] = words
        if name in exports[:5]:
            commands[f"export {name} --with-payload"] = [*words, "--with-payload"]
    commands["redact"] = ["redact", str(bad), "-o", str(out.with_suffix(".wsrec")), "--overwrite"]
    commands["diff"] = ["diff", str(good), str(bad)]
    commands["diff --json"] = ["diff", str(bad), str(good), "--json"]
    commands["web"] = []
    return commands


class _Said(io.BytesIO):
    """What was written, also after the text above it is gone."""

    def close(self) -> None:
        pass


@contextlib.contextmanager
def _captured() -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    kept, out, error = (sys.stdout, sys.stderr), _Said(), _Said()
    sys.stdout, sys.stderr = (io.TextIOWrapper(one, "utf-8", write_through=True) for one in (out, error))
    try:
        yield out, error
    finally:
        sys.stdout, sys.stderr = kept


def _harmless(said: bytes) -> None:
    text = said.decode()
    assert all(character.isprintable() or character in "\n" for character in text), repr(
        next(line for line in text.split("\n") if not line.isprintable())
    )


def command(words: list[str]) -> int:
    """Run a command as a person would; its status."""
    with _captured() as (out, error):
        status = main(words)
    said = error.getvalue()
    assert status in (0, 1, 2), status
    if not (words[0] == "show" and "--json" in words) and "html" not in words:
        _harmless(out.getvalue())
    _harmless(said)
    if status == 2 and words[0] != "explain":
        complaints = said.decode().rstrip("\n").split("\n")
        assert len(complaints) == 1, complaints
        assert complaints[0].startswith("wallsocket"), complaints
    return status


def web(bad: Path, chance: random.Random) -> int:
    """Ask for all views, as the page does; the status that a command would have."""
    try:
        with Snapshot.open(bad) as snapshot:
            conversations = [key_of(one) for one in snapshot.timeline.conversations]
            chosen = chance.sample(conversations, min(len(conversations), 3))
            asked: list[tuple[str, dict[str, Any]]] = [("overview", {}), ("conversations", {}), ("topology", {})]
            for key in chosen:
                asked += [(name, {"conversation": key}) for name in ("gauges", "river", "sequence", "states")]
                asked += [("ladder", {"conversation": key, "level": level}) for level in (0, 1)]
            asked += [("finding", {"number": number + 1}) for number in range(min(len(snapshot.findings), 3))]
            for table in ("call", "packet", "state"):
                asked.append(("detail", {"table": table, "row": chance.randrange(1, 60)}))
                asked.append(("locate", {"table": table, "row": chance.randrange(1, 60)}))
            for name, arguments in asked:
                try:
                    msgspec.json.encode(asking.ask(snapshot, name, arguments))
                except WallsocketError as error:
                    assert "\n" not in str(error), error
    except WallsocketError as error:
        assert "\n" not in str(error), error
        return 2
    return 0


def run(seed: int, count: int, folder: Path, good: list[Path]) -> Counter[str]:
    """Damage and look; how often what was read, and refused."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    bad, doing = folder / "bad.wsrec", folder / "doing"
    damager = Damager(seed, good, bad)
    commands = looks(bad, good[0], folder / "out")
    told: Counter[str] = Counter()
    for name, words in looks(good[0], good[0], folder / "out").items():
        assert not words or command(words) != 2, name
    for number in range(count):
        kind = damager.damage()
        name = damager.chance.choice(list(commands))
        doing.write_text(f"{number}: {kind}: {name}\n")
        signal.alarm(_ANSWER_S)  # ends this process: it hangs
        try:
            status = command(commands[name]) if commands[name] else web(bad, damager.chance)
            with contextlib.suppress(WallsocketError), Recording.open(bad) as recording:
                for _ in recording.events():
                    pass
        finally:
            signal.alarm(0)
        told[f"{kind} {'refused' if status == 2 else 'read'}"] += 1
    return told


if __name__ == "__main__":
    found = run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), [Path(word) for word in sys.argv[4:]])
    print(", ".join(f"{kind}: {times}" for kind, times in sorted(found.items())))
