"""Running the program of a claim, and the verdict that follows from what was seen.

The program runs in a process of its own, in a private network where the claim says so, for a limited time; what it opened
is gone when it ends, or when we do: killed, too.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import fcntl
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from ..errors import NotAvailable, NotPermitted, WallsocketError
from .experiment import RECORDING
from .lesson import BUILTINS, Claim, Verdict
from .scratch import scratch
from .worker import JOB, OUTCOME, set_up

if TYPE_CHECKING:
    from ..lab import Lab

__all__ = ["FOLDER_PREFIX", "Run", "evaluate", "missing", "play"]

#: How the folder begins that a program runs in.
FOLDER_PREFIX: Final = "wallsocket-lesson."
#: The program's own output is shown, not kept: more than this is cut.
_LONGEST_OUTPUT: Final = 100_000
#: A port without SO_REUSEADDR is taken for the 60 s of TIME_WAIT (net/ipv4/inet_connection_sock.c).
_TAKEN: Final = (
    "private networks are refused here, so it ran on the machine's own, where another program has that port, or an "
    "experiment had it in the last minute"
)
#: What an extra of that name brings.
_EXTRAS: Final = frozenset({"dpkt"})
#: A recorder and its guardian start before the program does: that is not its own time.
_TRACE_S: Final = 20.0
#: Whether somebody still waits is looked at so often.
_LOOK_S: Final = 0.1


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a claim's experiment.

    Attributes:
        claim: of which.
        verdict: what the claim is, here and now; ``unknown`` when the program failed, or no rule fits what was seen.
        seen: the observation, by variable.
        failure: why there is no verdict, or ``None``.
        printed: what the program printed.
        sysctl: settings that were not the claim's own.
        recording: where the recording is, if one was asked for and made.
        no_picture: why none could be made.
        took_s: seconds.
    """

    claim: Claim
    verdict: Verdict | Literal["unknown"]
    seen: dict[str, Any] = {}
    failure: str | None = None
    printed: str = ""
    sysctl: dict[str, int | str] = {}
    recording: Path | None = None
    no_picture: str = ""
    took_s: float = 0.0

    @property
    def as_expected(self) -> bool:
        """Whether it is what was found when the lesson was written."""
        return self.verdict == self.claim.expected

    def agrees(self, answer: str) -> bool | None:
        """Whether an answer is the right one; ``None``: this run does not tell."""
        right = self.right_answer
        return None if right is None else answer.lower() == right.lower()

    @property
    def right_answer(self) -> str | None:
        """The answer to the claim's question that this run gives, ``None`` when it gives none, or several."""
        question = self.claim.question
        if question is None or self.failure is not None:
            return None
        try:
            if question.answer:
                return str(evaluate(question.answer, self.seen))
            right = [text for text, expression in question.choices.items() if evaluate(expression, self.seen)]
        except WallsocketError:  # what was seen is not even of the kind that was expected
            return None
        return right[0] if len(right) == 1 else None


def play(
    claim: Claim,
    *,
    sysctl: Mapping[str, int | str] | None = None,
    recording: Path | None = None,
    ended: threading.Event | None = None,
) -> Run:
    """Run the experiment of a claim.

    Args:
        claim: which.
        sysctl: settings of its network that go before the claim's own.
        recording: record the run here, if the claim is one of those that show something.
        ended: once it is set, nobody waits any more: the program is ended.

    What goes wrong is in ``Run.failure``: a program that fails or takes too long, a network that is refused.
    """
    if claim.not_shown:
        return Run(claim=claim, verdict=claim.expected, failure=None)
    started = time.monotonic()
    settings = {**claim.sysctl, **(sysctl or {})}
    kept: Path | None = None
    no_picture = ""
    with scratch(FOLDER_PREFIX) as folder:
        try:
            if lacking := missing(claim):
                raise NotAvailable(lacking)
            printed = _run(claim, folder, settings, record=bool(recording and claim.show), ended=ended)
            if recording and claim.show and not (folder / OUTCOME).exists():
                # Tracing is refused here, and the trace has said so instead of starting the program.
                no_picture = printed.strip().rpartition("\n")[2]
                printed = _run(claim, folder, settings, record=False, ended=ended)
            seen = _outcome(claim, folder)
            verdict, failure = _verdict(claim, seen)
        except (WallsocketError, OSError) as error:
            printed, seen, verdict, failure = "", {}, "unknown", str(error)
            if f"[Errno {errno.EADDRINUSE}]" in failure and _on_the_machine(claim):
                failure += f"; {_TAKEN}"
        if recording is not None and (folder / RECORDING).exists():
            shutil.copy(folder / RECORDING, recording)
            kept = recording
    return Run(
        claim=claim,
        verdict=verdict,
        seen=seen,
        failure=failure,
        printed=printed,
        sysctl=dict(sysctl or {}),
        recording=kept,
        no_picture=no_picture,
        took_s=time.monotonic() - started,
    )


def missing(claim: Claim) -> str | None:
    """What a claim needs and this machine has not, in words; ``None`` when it has all."""
    # Debian keeps nft in a directory that is not on every user's path.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    for name in claim.needs:
        if shutil.which(name, path=path) is None and importlib.util.find_spec(name) is None:
            way = f': pip install "wallsocket[{name}]"' if name in _EXTRAS else ""
            return f"this experiment needs {name}, which is not installed{way}"
    return None


def evaluate(expression: str, seen: Mapping[str, Any]) -> Any:
    """The value of an expression over an observation.

    Raises:
        WallsocketError: it cannot be computed; the text has the expression and the reason.
    """
    try:
        # A lesson is part of this package: the few builtins keep expressions small, they are no fence.
        return eval(expression, {"__builtins__": {}, **BUILTINS, **seen})  # noqa: S307
    except Exception as error:
        raise WallsocketError(f"{expression!r}: {type(error).__name__}: {error}") from error


def _verdict(claim: Claim, seen: dict[str, Any]) -> tuple[Verdict | Literal["unknown"], str | None]:
    for verdict, expression in claim.verdict.items():
        if evaluate(expression, seen):
            return verdict, None
    return "unknown", "no rule of this lesson fits what was seen"


def _run(
    claim: Claim, folder: Path, settings: dict[str, int | str], *, record: bool, ended: threading.Event | None
) -> str:
    """Run the program in its folder; what it printed."""
    program = f"{claim.id}.py"
    (folder / program).write_text(claim.program, encoding="utf-8")
    for name, text in claim.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    job = {
        "program": program,
        "seen": list(claim.seen),
        "hosts": claim.hosts,
        "link": claim.link,
        "ipv6": claim.ipv6,
        "sysctl": settings,
    }
    (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
    # A file of that name, so that a recording calls the process by the claim.
    (folder / claim.id).write_text("from wallsocket.lessons.worker import main\n\nmain()\n")
    command = [sys.executable, claim.id]
    # A program that traces another one keeps that recording; two tracers of one program there cannot be.
    traces = re.compile(r"\b(traced|explained)\(")
    if record and not any(traces.search(text) for text in (claim.program, *claim.files.values())):
        trace = [sys.executable, "-m", "wallsocket", "trace", "-q", "-o", RECORDING]
        code = ["--user-code", str(folder), "--library", str(Path(__file__).parent)]
        command = [*trace, *code, "--", *command]
    # Neither the settings of who asks nor compiled files are to make a difference.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "TMPDIR": str(folder)}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    with _started(claim, command, folder, environment, settings) as process:
        output = _output(process, claim.limit_s + (_TRACE_S if record else 0), ended)
    return str(output.decode("utf-8", "replace"))[:_LONGEST_OUTPUT]


def _output(process: subprocess.Popen[bytes], limit_s: float, ended: threading.Event | None) -> bytes:
    deadline = time.monotonic() + limit_s
    while True:
        left_s = max(0.0, deadline - time.monotonic())
        try:
            output, _ = process.communicate(timeout=left_s if ended is None else min(left_s, _LOOK_S))
        except subprocess.TimeoutExpired:
            if ended is not None and ended.is_set():
                raise WallsocketError("it was ended before the program was") from None
            if time.monotonic() >= deadline:
                raise WallsocketError(f"the program did not end within {limit_s:g} s, and was ended") from None
        else:
            return bytes(output)


@contextlib.contextmanager
def _started(
    claim: Claim, command: list[str], folder: Path, environment: dict[str, str], settings: dict[str, int | str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The program's process; whatever it has started is ended with it."""
    options: dict[str, Any] = {
        "cwd": folder,
        "env": environment,
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "start_new_session": True,
    }
    with contextlib.ExitStack() as stack:
        net = None if claim.hosts or claim.network == "none" else _private_network(claim)
        process: subprocess.Popen[bytes]
        if net is None and settings and not claim.hosts:
            raise NotAvailable("this experiment does not run in a private network of its own, so nothing is set in it")
        if net is None:
            if claim.network == "any":
                stack.enter_context(_alone())
            theirs, ours = os.pipe()
            stack.callback(os.close, ours)
            try:
                process = subprocess.Popen(command, pass_fds=[theirs], **options)
                _end_with_us(process, theirs)
            finally:
                os.close(theirs)
        else:
            stack.callback(net.close)
            host = net.host("here")
            set_up(host, settings)
            process = host.popen(command, capabilities=claim.capabilities, **options)
        try:
            yield process
        finally:
            if net is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            else:
                net.close()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One experiment at a time on the machine's own network, where all of them want the same ports."""
    folder = os.open(Path(__file__).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # all users of this installation can lock this
        yield
    finally:
        os.close(folder)


def _end_with_us(process: subprocess.Popen[bytes], pipe: int) -> None:
    """Have the kernel kill a process group when the writing end of a pipe is closed, of which it has the other end.

    Nothing is ever written; ours is closed also when we are killed.
    """
    fcntl.fcntl(pipe, fcntl.F_SETOWN, -process.pid)  # fcntl(2): who gets a signal when something happens there
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, os.O_ASYNC)


def _on_the_machine(claim: Claim) -> bool:
    """Whether it runs on the machine's own network, because private ones are refused."""
    if claim.network != "any" or claim.hosts:
        return False
    net = _private_network(claim)
    if net is not None:
        net.close()
    return net is None


def _private_network(claim: Claim) -> Lab | None:
    from .. import lab

    try:
        return lab.Lab(ipv6=claim.ipv6)
    except (NotPermitted, NotAvailable):
        if claim.network == "any":
            return None
        raise


def _outcome(claim: Claim, folder: Path) -> dict[str, Any]:
    try:
        outcome = ast.literal_eval((folder / OUTCOME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WallsocketError("the program's process ended before the program did") from None
    if "failure" in outcome:
        line = outcome["line"]
        begin = next(block.line for block in claim.blocks if block.kind == "program")
        where = f"{claim.path.name}:{begin + line - 1}: " if line else ""
        raise WallsocketError(f"{where}{outcome['failure']}")
    seen: dict[str, Any] = outcome["seen"]
    return seen
