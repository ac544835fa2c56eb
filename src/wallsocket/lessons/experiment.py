"""What the programs of lessons use beside the standard library: short words for what experiments do again and again.

Nothing here waits for luck: :func:`until` asks the kernel again and again until a fact is there, and says what it saw
last when it is not.

Every program of a lesson waits until this module is imported: what only some need is imported where they need it.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec, TypeVar

from .. import kernel
from ..kernel import names

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "Ended",
    "Found",
    "Traced",
    "attempt",
    "counted",
    "explained",
    "meanwhile",
    "run_file",
    "state",
    "traced",
    "until",
]

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Where :func:`traced` keeps its recording, beside the program; a picture is drawn from it.
RECORDING: Final = "traced.wsrec"

#: How long a program waits for a fact, or for another program: long enough for a machine that is busy with other things.
WITHIN_S: Final = 20.0

#: ``/usr/include/asm-generic/socket.h``; Python 3.11 has no name for it.
_SO_COOKIE: Final = 57


def attempt(function: Callable[_P, Any], /, *arguments: _P.args, **options: _P.kwargs) -> Any:
    """Call it and say how that ended: its value, ``"ok"`` for ``None``, or the error's name, such as ``"EADDRINUSE"``.

    An error without a number is named by its class: ``"TimeoutError"``, ``"TypeError"``.
    """
    try:
        value = function(*arguments, **options)
    except OSError as error:
        return names.error(error.errno) if error.errno else type(error).__name__
    except Exception as error:  # whatever it is, its name is the observation
        return type(error).__name__
    return "ok" if value is None else value


def until(condition: Callable[[], _T], within_s: float = WITHIN_S) -> _T:
    """Ask again and again until the answer is true (not 0, empty or None), and return it.

    Raises:
        TimeoutError: it did not become true in time; the text says what it was last.
    """
    deadline = time.monotonic() + within_s
    pause_s = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s:g} s; last seen: {value!r}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.02)


def state(sock: socket.socket, host: kernel.Host = kernel.here) -> str:
    """The kernel's state of a socket: ``"LISTEN"``, ``"CLOSE_WAIT"`` and so on.

    A UDP socket is ``"ESTABLISHED"`` when connected, else ``"CLOSE"``; ``"unhashed"`` while the kernel has it in no
    table, because it has no port. ``"none"`` after close().

    Args:
        sock: of TCP or UDP.
        host: where it was made; only UDP sockets of a lab's host need that.
    """
    if sock.fileno() < 0:
        return "none"
    if sock.type == socket.SOCK_STREAM:
        from ..endpoints.tcp import kernel_state

        return kernel_state(sock)
    cookie = int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8), sys.byteorder)
    return next((row.state for row in host.sockets("udp") if row.cookie == cookie), "unhashed")


@contextlib.contextmanager
def counted(host: kernel.Host = kernel.here) -> Iterator[dict[str, int]]:
    """Which counters of the kernel moved inside of the ``with``, as nstat(8) names them; filled when it ends."""
    moved: dict[str, int] = {}
    before = host.counters()
    yield moved
    moved |= kernel.counters.difference(before, host.counters())


def meanwhile(function: Callable[_P, _T], /, *arguments: _P.args, **options: _P.kwargs) -> Future[_T]:
    """Call it in a thread of its own; ``.result(timeout)`` is what it returned or raised."""
    from concurrent.futures import Future

    answer: Future[_T] = Future()

    def run() -> None:
        try:
            answer.set_result(function(*arguments, **options))
        except BaseException as error:  # handed to who asks for the result
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer


class Ended(NamedTuple):
    """How a program ended.

    Attributes:
        status: as ``subprocess`` has it: negative for a signal.
        output: what it printed.
        error: name of the exception that ended a Python program: an errno's (``"EADDRNOTAVAIL"``) or a class's
            (``"NameError"``); empty without one.
        errors: what it wrote to standard error.
    """

    status: int
    output: str
    error: str
    errors: str


def run_file(name: str, *arguments: str, within_s: float = WITHIN_S) -> Ended:
    """Run a Python file that stands beside the program, to its end.

    Raises:
        subprocess.TimeoutExpired: it did not end in time, and was killed.
    """
    import subprocess

    done = subprocess.run(
        [sys.executable, name, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    return Ended(done.returncode, done.stdout, _error_of(done.stderr), done.stderr)


def _error_of(text: str) -> str:
    """The name of the exception whose traceback this is."""
    lines = text.strip().splitlines()
    if not any(line.startswith("Traceback") for line in lines):
        return ""
    name, _, rest = lines[-1].partition(":")
    number = rest.strip().removeprefix("[Errno ").partition("]")[0]
    return names.error(int(number)) if number.isdecimal() else name.rpartition(".")[2]


class Traced(NamedTuple):
    """A call of a traced program.

    Attributes:
        name: of the system call. text: with arguments and result.
        result: what it returned, ``None`` if it did not. error: the errno's name, or empty.
    """

    name: str
    text: str
    result: int | None
    error: str


def traced(command: Sequence[str]) -> list[Traced]:
    """Run a command with ``wallsocket trace`` and return the calls that concern sockets, in order.

    The recording is kept beside the program; a claim with ``show`` draws that one.
    """
    from pathlib import Path

    from ..trace.calls import CallText
    from ..trace.recording import Recording
    from ..trace.run import run

    result = run(command, output=Path(RECORDING), replace=True)
    with Recording.open(result.path) as recording:
        text = CallText(recording.meta.get("machine", ""))
        return [
            Traced(text.name(call), text.full(call), call.result, names.error(call.errno) if call.errno else "")
            for call in recording.calls()
        ]


class Found(NamedTuple):
    """A finding of ``wallsocket explain`` about a program.

    Attributes:
        rule: its id. title: what it says.
        file: name of the file. line: in it; 0 where none is known.
        cause: whether it is a cause; else an effect of another finding.
    """

    rule: str
    title: str
    file: str
    line: int
    cause: bool


def explained(command: Sequence[str]) -> list[Found]:
    """Run a command with ``wallsocket explain`` and return what it found, the most probable cause first.

    The recording is kept beside the program; a claim with ``show`` draws that one.
    """
    from pathlib import Path

    from ..diagnose import diagnose
    from ..trace.recording import Recording
    from ..trace.run import run

    result = run(command, output=Path(RECORDING), replace=True)
    with Recording.open(result.path) as recording:
        return [
            Found(one.rule, one.title, Path(one.file or "").name, one.line or 0, one.follows_from is None)
            for one in diagnose(recording).findings
        ]
