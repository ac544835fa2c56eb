"""The folder of recordings: private, newest first, pruned with notice."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wallsocket.errors import RecordingError
from wallsocket.trace import places
from wallsocket.trace.recording import Recording, Writer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def aged(name: str, age_s: int, size: int = 10) -> Path:
    path = places.folder() / name
    path.write_bytes(bytes(size))
    os.utime(path, (1_000_000 - age_s, 1_000_000 - age_s))
    return path


def test_the_folder_is_private(home: Path) -> None:
    place = places.folder()
    assert place == home / "state" / "wallsocket"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    place.chmod(0o755)
    assert stat.S_IMODE(places.folder().stat().st_mode) == 0o700


def test_a_relative_state_home_is_ignored(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(home))
    assert places.folder() == home / ".local" / "state" / "wallsocket"


def test_a_folder_that_cannot_be_made(home: Path) -> None:
    (home / "state").write_text("in the way")
    with pytest.raises(RecordingError, match="cannot be made: Not a directory; choose a file with -o"):
        places.folder()


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.strftime", lambda _: "20260131-154500")
    first = next(places.new_paths("/usr/sbin/nginx"))
    assert first.name == "nginx-20260131-154500.wsrec"
    first.touch()
    names = places.new_paths("nginx")
    assert next(names).name == "nginx-20260131-154500-2.wsrec"
    assert next(names).name == "nginx-20260131-154500-3.wsrec"
    assert next(places.new_paths("../a b;\x1b[2J")).name == "a-b-2J-20260131-154500.wsrec"
    assert next(places.new_paths("..")).name == next(places.new_paths("")).name == "trace-20260131-154500.wsrec"


def test_recordings_of_one_program_made_in_the_same_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """All ask for the same name at the same moment; each gets a file of its own."""
    monkeypatch.setattr("time.strftime", lambda _: "20260131-154500")
    together = threading.Barrier(20)

    def write(number: int) -> Path:
        together.wait(60)
        writer = Writer.at_first_free(places.new_paths("nginx"), meta={"version": str(number)})
        assert writer.path is not None
        together.wait(60)
        writer.finish({})
        with Recording.open(writer.path) as recording:
            assert recording.meta["version"] == str(number)
        return writer.path

    with ThreadPoolExecutor(20) as pool:
        paths = list(pool.map(write, range(20)))
    assert {path.name for path in paths} == {
        "nginx-20260131-154500.wsrec",
        *(f"nginx-20260131-154500-{number}.wsrec" for number in range(2, 21)),
    }


def test_traces_that_start_together_each_have_a_recording(home: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-m", "wallsocket", "trace", "--", "true"], stderr=-1, text=True)
        for _ in range(20)
    ]
    told = set()
    for process in started:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        told.update(line for line in errors.splitlines() if "recording: " in line)
    assert len(told) == len(places.recordings()) == 20


def test_newest() -> None:
    with pytest.raises(RecordingError, match=r"no recording in .*; make one: wallsocket trace -- COMMAND"):
        places.newest()
    aged("a.wsrec", 3)
    b = aged("b.wsrec", 1)
    aged("c.wsrec", 2)
    aged("d.txt", 0)
    (places.folder() / "e.wsrec").symlink_to("/dev/zero")
    assert places.newest() == b
    assert [path.name for path in places.recordings()] == ["b.wsrec", "c.wsrec", "a.wsrec"]


def test_a_growing_log_counts_as_new() -> None:
    a = aged("a.wsrec", 3)
    aged("b.wsrec", 2)
    aged("a.wsrec-wal", 1)
    assert places.newest() == a


def test_pruning_by_number() -> None:
    kept = [aged(f"{n}.wsrec", n) for n in range(20)]
    old = aged("old.wsrec", 100, size=5)
    aged("old.wsrec-wal", 100, size=7)
    assert places.prune() == [places.Pruned(old, 12)]
    assert places.recordings() == kept
    assert sorted(path.name for path in places.folder().iterdir()) == sorted(path.name for path in kept)
    assert places.prune() == []


def test_pruning_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "KEPT_BYTES", 100)
    newest = aged("newest.wsrec", 0, size=60)
    big = aged("big.wsrec", 1, size=50)
    small = aged("small.wsrec", 2, size=40)
    assert places.prune() == [places.Pruned(big, 50)]
    assert places.recordings() == [newest, small]
    monkeypatch.setattr(places, "KEPT_BYTES", 1)
    assert places.prune() == [places.Pruned(small, 40)]
    assert places.recordings() == [newest]


def test_pruning_is_told_once() -> None:
    said: list[str] = []
    for name in ("first", "second", "third"):
        for n in range(20):
            aged(f"{n}.wsrec", n)
        old = aged(f"{name}.wsrec", 100, size=1_200_000)
        places.prune_telling_once(None if name == "first" else said.append)
        assert not old.exists()
    assert said == [
        f"the old recording second.wsrec was removed (1.2 MB): {places.folder()} keeps the newest 20, at most 2 GB; "
        "-o FILE keeps one elsewhere (this is said once)"
    ]


def test_pruning_spares_what_is_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "KEPT_RECORDINGS", 1)
    with Writer(places.folder() / "growing.wsrec", meta={}) as writer:
        for name in ("growing.wsrec", "growing.wsrec-wal"):
            os.utime(places.folder() / name, (1, 1))
        aged("newest.wsrec", 0)
        assert places.prune() == []
        writer.finish({})
