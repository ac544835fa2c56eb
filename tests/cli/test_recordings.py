"""``wallsocket recordings``, as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.recordings import Script


@pytest.fixture
def state(tmp_path: Path) -> Path:
    place = tmp_path / "wallsocket"
    place.mkdir(mode=0o700)
    for number, name in enumerate(("redis-20260101-100000", "nginx-20260101-110000", "nginx-20260102-110000")):
        path = place / f"{name}.wsrec"
        word = name.partition("-")[0]
        script = Script(path, command=json.dumps([word, "--x", "\x1b[31m"]), started_realtime_ns="1796021124000000000")
        script.done(1000, exit_status=str(number)).close()
        os.utime(path, (1000 + number, 1000 + number))
    return place


def wallsocket(state: Path, *words: str, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "wallsocket", *words],
        capture_output=True,
        text=True,
        env=os.environ | {"XDG_STATE_HOME": str(state.parent), "TZ": "UTC", "COLUMNS": "200"},
        check=False,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def test_they_are_listed_newest_first(state: Path) -> None:
    (state / "broken.wsrec").write_bytes(b"no database at all")
    os.utime(state / "broken.wsrec", (1, 1))
    lines = wallsocket(state, "recordings").splitlines()
    assert [line.split()[0] for line in lines] == [
        "name", "nginx-20260102-110000", "nginx-20260101-110000", "redis-20260101-100000", "broken",
    ]  # fmt: skip
    assert lines[1].split()[1:3] == ["2026-11-30", "06:45"]
    assert lines[1].endswith(r"2                 nginx --x '\x1b[31m'")
    assert "is not a recording" in lines[-1]
    first = json.loads(wallsocket(state, "recordings", "--json").splitlines()[0])
    assert (first["name"], first["exit_status"], first["error"]) == ("nginx-20260102-110000", 2, None)


def test_they_are_opened_by_name(state: Path) -> None:
    assert wallsocket(state, "show", "redis").startswith("redis --x")
    assert wallsocket(state, "show", "nginx-20260101-110000").startswith("nginx --x")
    assert wallsocket(state, "show", "nginx-20260101-110000.wsrec").startswith("nginx --x")
    said = wallsocket(state, "show", "nginx", status=2)
    assert "several recordings begin so: nginx-20260102-110000, nginx-20260101-110000" in said
    assert "nothing: no such file" in wallsocket(state, "show", "nothing", status=2)


def test_they_are_pruned(state: Path) -> None:
    assert wallsocket(state, "recordings", "--prune") == "nothing to remove\n"
    removed = wallsocket(state, "recordings", "--prune", "--keep", "2")
    assert removed.startswith("removed redis-20260101-100000.wsrec (")
    gone = [
        json.loads(line) for line in wallsocket(state, "recordings", "--prune", "--keep", "0", "--json").splitlines()
    ]
    assert [Path(item["removed"]).name for item in gone] == [
        "nginx-20260102-110000.wsrec",
        "nginx-20260101-110000.wsrec",
    ]
    assert list(state.iterdir()) == []
    assert "--keep goes with --prune" in wallsocket(state, "recordings", "--keep", "1", status=2)
    assert wallsocket(state, "recordings") == ""
