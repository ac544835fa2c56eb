"""Traced programs stay unharmed, over and over, on a machine that has other things to do."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import battery
from tests.support.battery import Outcome
from tests.support.repository import ROOT

#: The module: in its package ``run`` is a function.
running = importlib.import_module("wallsocket.trace.run")

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

ROUNDS = 20
CHILDREN = 200_000


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return battery.build(tmp_path_factory.mktemp("hostile"))


def lab(program: Path, name: str, folder: Path) -> Outcome:
    return battery.run(program, name, folder, "--lab")


def lean(program: Path, name: str, folder: Path) -> Outcome:
    return battery.run(program, name, folder, "--no-kernel", "--no-lines", "--one-core")


@pytest.mark.parametrize(
    ("way", "leave_out"),
    [
        (battery.run, ""),
        # The network of its own has user ids of its own.
        (lab, "in_a_namespace"),
        (lean, ""),
        (battery.attached, ""),
        (battery.let_go, ""),
        (battery.abandoned, ""),
    ],
)
def test_every_program_in_every_way(
    way: Callable[[Path, str, Path], Outcome],
    leave_out: str,
    hostile: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [name for name in battery.names(hostile) if name != leave_out]
    expected = {name: battery.untraced(hostile, name) for name in names}
    different = []
    with battery.Load(2):
        for number in range(ROUNDS):
            for name in names:
                outcome = way(hostile, name, tmp_path)
                if outcome != expected[name]:
                    different.append((number, name, outcome))
    with capsys.disabled():
        print(f"\n{getattr(way, '__name__', way)}: {len(different)} of {ROUNDS * len(names)} runs differ")
    assert different == []


def test_first_sockets_with_a_guardian_that_ticks_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "first_sockets"
    subprocess.run(["gcc", "-w", "-O1", "-o", program, ROOT / "tests/programs/first_sockets.c"], check=True)
    monkeypatch.setattr(running, "TICK_MS", 1)
    parts = 5
    with battery.Load(2):
        for part in range(parts):
            result = running.run([str(program), str(CHILDREN // parts)], output=tmp_path / f"{part}.wsrec", lines=False)
            (tmp_path / f"{part}.wsrec").unlink()
            assert result.exit_status == 0
            assert capfd.readouterr().out == f"0 of {CHILDREN // parts} harmed\n"
