"""Runs a student's program for an exercise and judges it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ...errors import NotAvailable, RecordingError, UsageError, WallsocketError
from ...files import refuse
from ..scratch import scratch
from .exercise import Exercise
from .peer import RESULTS, Played
from .source import command_of
from .stage import ADDRESS, NETWORK
from .verdict import Verdict

if TYPE_CHECKING:
    from ...lab import Host
    from .case import Case

__all__ = ["Checked", "check", "checked"]

#: More than a right program needs on a loaded machine; a program that only hangs is told long before.
_LIMIT_S: Final = 200
#: The bytes of each call that are kept: enough for headers and the beginnings of messages.
_PAYLOAD: Final = 256
#: How often it is looked whether anybody still waits.
_LOOK_S: Final = 0.1
#: What the recorder may need to end.
_END_S: Final = 10.0


class Checked:
    """A judged program, while its recording can be read.

    Attributes:
        verdict: the judgement.
        case: the first failed scenario; ``None`` of a right program, and where nothing was recorded.

    """

    def __init__(self, verdict: Verdict, case: Case | None = None) -> None:
        self.verdict = verdict
        self.case = case


def check(
    path: str | os.PathLike[str],
    exercise: str,
    *,
    first: bool = False,
    recording: Path | None = None,
    replace: bool = False,
) -> Verdict:
    """Run a program for an exercise, in a private network, traced, and judge it by what it did.

    The program runs as the caller, with the caller's rights to files: this is no sandbox.

    Args:
        path: the program's file.
        exercise: name of the exercise.
        first: stop at the first scenario that fails.
        recording: a file for the recording of all scenarios; without it none is kept.
        replace: an older file may stand there.

    Raises:
        UsageError: there is no such exercise; something stands where the recording is to be.
        NotPermitted: private networks or tracing are refused here.

    """
    with checked(path, exercise, first=first, recording=recording, replace=replace) as found:
        return found.verdict


@contextlib.contextmanager
def checked(
    path: str | os.PathLike[str],
    exercise: str,
    *,
    first: bool = False,
    recording: Path | None = None,
    replace: bool = False,
    ended: threading.Event | None = None,
) -> Iterator[Checked]:
    """As :func:`check`; within the block the recording can be read and drawn.

    Once ``ended`` is set nobody waits any more: the program is ended, and a :class:`WallsocketError` says so.
    """
    from ...diagnose import diagnose
    from ...trace.recording import Recording
    from . import exercise_named
    from .judge import judge

    task, file = exercise_named(exercise), Path(path)
    if recording is not None:
        refuse(recording, replace=replace)
    with scratch("wallsocket-exercise-") as folder:
        try:
            command = command_of(file, folder)
        except UsageError as error:
            yield Checked(_refused(task, file, str(error)))
            return
        kept = recording if recording is not None else folder / "run.wsrec"
        played = _play(task, command, folder, kept, first=first, replace=replace, ended=ended)
        with Recording.open(kept) as opened:
            verdict, case = judge(task, file, played, opened, diagnose(opened))
            if recording is not None:
                verdict = msgspec.structs.replace(verdict, recording=str(recording))
            yield Checked(verdict, case)


def _refused(exercise: Exercise, path: Path, reason: str) -> Verdict:
    """A file that cannot even be started."""
    return Verdict("could not run", exercise.name, str(path), 0, len(exercise.scenarios), reason=reason)


def _play(
    exercise: Exercise,
    command: list[str],
    folder: Path,
    recording: Path,
    *,
    first: bool,
    replace: bool,
    ended: threading.Event | None,
) -> list[Played]:
    """Play the scenarios against the program in a host of a lab; both ends are in the one recording."""
    from ... import lab

    with lab.Lab() as net:
        host = net.host("host")
        net.link(host, net.host("far"), subnet=NETWORK)
        assert host.address == ADDRESS
        if exercise.protocol == "icmp":
            # Datagram sockets for ICMP (icmp(7)), and no other answers to an echo request than ours.
            host.sysctl("net.ipv4.ping_group_range", f"{os.getegid()} {os.getegid()}")
            host.sysctl("net.ipv4.icmp_echo_ignore_all", 1)
        words = [sys.executable, "-m", "wallsocket", "trace", "-q", "--kill", *["--overwrite"] * replace]
        words += ["--for", f"{_LIMIT_S}s", "--payload", str(_PAYLOAD), "-o", str(recording), "--"]
        words += [sys.executable, "-P", str(Path(__file__).with_name("peer.py")), exercise.name, str(folder)]
        words += ["first" if first else "all", *command]
        said = _told(host, words, ended)
    results = folder / RESULTS
    lines = results.read_bytes().splitlines() if results.exists() else []
    if not lines or not recording.exists():
        last = said.strip().removeprefix("wallsocket: ").splitlines()[-1:] or ["nothing was played"]
        raise NotAvailable(f"the scenarios could not be played: {last[0]}")
    try:
        return [msgspec.json.decode(line, type=Played) for line in lines]
    except msgspec.DecodeError as error:
        raise RecordingError(f"{results.name}: {error}") from error


def _told(host: Host, words: list[str], ended: threading.Event | None) -> str:
    """Run the recorder in a host to its end; what it said on stderr."""
    deadline = time.monotonic() + _LIMIT_S + 10
    with host.popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while True:
            try:
                said: str = process.communicate(timeout=_LOOK_S)[1]
                return said
            except subprocess.TimeoutExpired:
                if ended is not None and ended.is_set():
                    _end(process)
                    raise WallsocketError("it was ended before the program was") from None
                if time.monotonic() >= deadline:
                    process.kill()
                    return f"not done within {_LIMIT_S} s"
            except KeyboardInterrupt:
                # It may have come to us alone, and nobody wants the recording: with the recorder all that it runs is killed.
                process.kill()
                raise


def _end(process: subprocess.Popen[str]) -> None:
    """End the recorder, and what it records: it is asked first, so that nothing is left."""
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
