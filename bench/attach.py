"""What it costs a running program to be attached to: Wallsocket's ``-p`` and ``strace -p``, for socket calls and for others.

Neither can have a filter in a program that runs already, so every system call stops twice under both. The program times
its own loop; "added" is the time per turn less the untraced time of the same round.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.measure import Table, compiled, interleaved, present, ratios, spread
from bench.trace import CALL_SET, CALLS_ONLY, WALLSOCKET

TURNS = 4_000
#: Letter that the program is told, and what it does in each turn.
WORK = {"s": "send and recv", "o": "a call without a socket"}
_STRACE = "strace -f -p"


class _Program:
    """The program, which answers how long its loop took."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([compiled("attached")], stdin=pipe, stdout=pipe, text=True)
        self.pid = self._process.pid

    def turn_us(self, work: str) -> float:
        """Microseconds of one turn."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{work} {TURNS}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()) / TURNS / 1000

    def is_followed(self) -> bool:
        """Whether a tracer has it."""
        return "TracerPid:\t0\n" not in Path(f"/proc/{self.pid}/status").read_text()

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def _traced(program: _Program, tracer: Sequence[str], work: str) -> float:
    """A turn while a tracer is attached."""
    following = subprocess.Popen([*tracer, "-p", str(program.pid)], stderr=subprocess.PIPE, text=True)
    assert following.stderr is not None
    # Both say so when they have attached.
    line = following.stderr.readline()
    if "attached" not in line:
        raise RuntimeError(f"{tracer[0]}: {line}")
    try:
        return program.turn_us(work)
    finally:
        following.send_signal(signal.SIGINT)
        following.communicate()
        while program.is_followed():
            time.sleep(0.005)


def run(rounds: int) -> list[Table]:
    """The table."""
    table = Table(
        "Cost of being attached to, µs per turn",
        ("turn", "tracer", "time", "added", "added ÷ strace's added", "n"),
    )
    data = {}
    with tempfile.TemporaryDirectory(prefix="wallsocket-bench-") as name:
        wallsocket = [word for word in WALLSOCKET if word != "-q"]
        wallsocket += ["--overwrite", "-o", f"{name}/recording.wsrec"]
        tracers = {"wallsocket -p, calls only": [*wallsocket, *CALLS_ONLY], "wallsocket -p": wallsocket}
        if present("strace"):
            tracers[_STRACE] = ["strace", "-f", "-e", f"trace={CALL_SET}", "-s", "64", "-o", f"{name}/strace.out"]
        program = _Program()
        try:
            for work, what in WORK.items():
                peers = {"untraced": lambda work=work: program.turn_us(work)}
                for tracer, command in tracers.items():
                    peers[tracer] = lambda command=command, work=work: _traced(program, command, work)  # type: ignore[misc]
                results = data[what] = interleaved(rounds, peers, f"attached, {what}")
                added = {
                    tracer: [a - b for a, b in zip(times, results["untraced"], strict=True)]
                    for tracer, times in results.items()
                }
                for tracer, times in results.items():
                    counted = tracer != "untraced"
                    table.rows.append(
                        (
                            what,
                            tracer,
                            spread(times, 2),
                            spread(added[tracer], 2) if counted else "–",
                            spread(ratios(added[tracer], added[_STRACE]), 2) if counted and _STRACE in added else "–",
                            str(len(times)),
                        )
                    )
        finally:
            program.end()
    table.notes.append(
        f"Median (lowest–highest) of the mean of {TURNS} turns. Both record the same calls into a file; of the calls without a "
        "socket neither records anything."
    )
    table.data = {"turns": TURNS, "microseconds": data}
    return [table]
