"""Plays the scenarios of an exercise against a program: the other end, traced together with it.

Run as ``python -P peer.py EXERCISE FOLDER all|first COMMAND...`` by :mod:`.check` in a host of a lab; as a file, so that the
ladder calls it by a short name. What was seen is written to ``results.json`` in the folder, a line for each scenario, so that a
run that is cut short keeps what it had.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from wallsocket.lessons.exercises.exercise import Exercise, Scenario
from wallsocket.lessons.exercises.stage import Mismatch, Stage

__all__ = ["FIRST_PORT", "RESULTS", "Played", "Run"]

#: What the results are written to.
RESULTS: Final = "results.json"
#: A program that was waited for and never sleeps is played no more: it would fill the recording.
_WAITED: Final = ("no answer", "not ended", "memory")
#: Each scenario has a port of its own: what one leaves behind is not in the way of the next.
FIRST_PORT: Final = 4567


class Run(msgspec.Struct, frozen=True):
    """One run of the program in a scenario."""

    pid: int
    status: int | None  #: of a program that ended by itself
    output: str
    error: str


class Played(msgspec.Struct, frozen=True):
    """What a scenario showed."""

    scenario: str
    kind: str | None  #: what went wrong (:data:`~.stage.Kind`), ``None`` for nothing
    started: bool  #: whether the program was there at all
    expected: str
    seen: str
    log: tuple[str, ...]
    server_port: int
    port: int | None  #: our local port of the conversation that went wrong
    failed_ns: int  #: when it went wrong, CLOCK_MONOTONIC
    mistake: str | None  #: name of a mistake that the other end could tell by itself
    runs: tuple[Run, ...]
    busy: bool = False  #: it worked all the time


def play(exercise: Exercise, scenario: Scenario, command: list[str], port: int, folder: Path) -> Played:
    """Play one scenario, in a scratch folder within ``folder``."""
    failed: Mismatch | None = None
    with tempfile.TemporaryDirectory(prefix="scenario-", dir=folder) as scratch:
        busy = False
        with Stage(command, Path(scratch), port, exercise.protocol) as stage:
            try:
                scenario.play(stage)
                if exercise.role == "server":
                    stage.expect_no_crash()
            except Mismatch as mismatch:
                failed = mismatch
                busy = mismatch.kind in _WAITED and stage.student.restless()
        runs = tuple(
            Run(student.pid, None if student.ended_by_us else student.status, student.out.text, student.error.text)
            for student in stage.students
        )
    return Played(
        scenario=scenario.name,
        kind=failed.kind if failed else None,
        started=stage.started or exercise.role == "client",
        expected=failed.expected if failed else "",
        seen=failed.seen if failed else "",
        log=tuple(stage.log),
        server_port=port,
        port=failed.port if failed else None,
        failed_ns=failed.at_ns if failed else time.monotonic_ns(),
        mistake=failed.mistake if failed else None,
        runs=runs,
        busy=busy,
    )


def main(arguments: list[str]) -> int:
    """Play the scenarios of an exercise, all or until one fails.

    A program that is not there at all is started only once, and one that never sleeps does not fill the recording.
    """
    from wallsocket.lessons.exercises import exercise_named
    from wallsocket.lessons.exercises.student import adopt_orphans

    adopt_orphans()

    name, folder, how_many, *command = arguments
    exercise = exercise_named(name)
    scratch = Path(folder) / "scratch"
    scratch.mkdir()
    with (Path(folder) / RESULTS).open("wb") as results:
        for number, scenario in enumerate(exercise.scenarios):
            played = play(exercise, scenario, command, FIRST_PORT + number, scratch)
            results.write(msgspec.json.encode(played) + b"\n")
            results.flush()
            over = not played.started or played.kind == "restless" or played.busy
            if over or (played.kind is not None and how_many == "first"):
                break
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
