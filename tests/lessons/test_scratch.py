"""Folders and processes of experiments are gone, also when the run was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.lessons.test_format import LESSON
from wallsocket.lessons import until
from wallsocket.lessons.scratch import _sweep, scratch

PREFIX = "wallsocket-scratch."
#: Plays the lesson in the current folder.
PLAY = """
import pathlib
from wallsocket.lessons.lesson import parse
from wallsocket.lessons.play import play
place = pathlib.Path("states/lesson.md").absolute()
print(play(parse(place.read_text(), place).claims[0]))
"""
#: Does not end, nor does what it has started.
PROGRAM = "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    _sweep.cache_clear()


def old(folder: Path) -> None:
    """As if it had been made a while ago."""
    os.utime(folder, (time.time() - 3600,) * 2)


def test_a_folder_is_gone_in_the_end(tmp_path: Path) -> None:
    with scratch(PREFIX) as folder:
        (folder / "file").write_text("x")
        assert folder.parent == tmp_path
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    code = f"import os, tempfile; tempfile.tempdir = {str(tmp_path)!r}\n" \
        f"from wallsocket.lessons.scratch import scratch\n" \
        f"with scratch({PREFIX!r}) as folder: (folder / 'file').write_text('x'); os.kill(os.getpid(), 9)"  # fmt: skip
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    old(left)
    with scratch(PREFIX) as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_only_what_is_left_is_removed(tmp_path: Path) -> None:
    new, other, target = tmp_path / f"{PREFIX}new", tmp_path / "wallsocket-other.1", tmp_path / "target"
    for each in (new, other, target):
        each.mkdir()
    old(other)
    old(target)
    link = tmp_path / f"{PREFIX}link"
    link.symlink_to(target)
    with scratch(PREFIX) as used:
        old(used)
        _sweep.cache_clear()
        with scratch(PREFIX) as second:
            assert {each.name for each in tmp_path.iterdir()} == {
                each.name for each in (new, other, target, link, used, second)
            }


def inside(place: Path) -> list[int]:
    """The processes whose folder is below that one."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(each / "cwd").startswith(f"{place}/"):
                found.append(int(each.name))
        except OSError:  # ended, or somebody else's
            continue
    return found


@pytest.mark.parametrize("where", ['network = "none"', 'hosts = ["here", "there"]', 'network = "host"'])
def test_nothing_of_an_experiment_outlives_who_plays_it(tmp_path: Path, where: str) -> None:
    text = LESSON.replace("total = 2 + 2", PROGRAM).replace('expected = "true"', f'expected = "true"\n{where}')
    (tmp_path / "states").mkdir()
    (tmp_path / "states" / "lesson.md").write_text(text)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    player = subprocess.Popen([sys.executable, "-c", PLAY], cwd=tmp_path, env=environment)
    try:
        until(lambda: len(inside(tmp_path)) >= 2, within_s=60)  # the program, and what it has started
    finally:
        player.kill()
        player.wait()
    until(lambda: not inside(tmp_path), within_s=60)
