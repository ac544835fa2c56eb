"""The process in which the program of a claim runs.

It is started in a folder with ``job.json`` and the program, gives the program the hosts it asked for, and leaves
``outcome``: the values that the claim names, or why there are none. Values are plain Python literals, so that bytes stay
bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .. import lab

__all__ = ["JOB", "OUTCOME", "main", "set_up"]

JOB: Final = "job.json"
OUTCOME: Final = "outcome"
_PLAIN: Final[tuple[type[Any], ...]] = (str, bytes, int, float)


def main() -> None:
    """Run the program in the current folder."""
    with open(JOB) as file:
        job = json.load(file)
    path = os.path.join(os.getcwd(), job["program"])
    outcome: dict[str, Any]
    try:
        with _names(job) as names:
            with open(path, encoding="utf-8") as file:
                program = compile(file.read(), path, "exec")
            exec(program, names)  # noqa: S102  # a lesson of ours
            outcome = {"seen": {name: _plain(names, name) for name in job["seen"]}}
    except BaseException as error:
        import traceback

        from ..errors import NotAvailable, NotPermitted, WallsocketError

        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        kind = "" if isinstance(error, WallsocketError) else f"{type(error).__name__}: "
        # Whichever line asked for it: that the machine refuses something is no fault of the line.
        line = 0 if isinstance(error, NotAvailable | NotPermitted) or not lines else lines[-1]
        outcome = {"failure": f"{kind}{error}".rstrip(": "), "line": line}
    with open(OUTCOME, "w", encoding="utf-8") as file:
        file.write(repr(outcome))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # without waiting for threads that a program left in a call


@contextlib.contextmanager
def _names(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The names that the program starts with."""
    names: dict[str, Any] = {"__name__": "__main__"}
    if not job["hosts"]:
        yield names
        return
    from wallsocket import lab

    with lab.hosts(*job["hosts"], ipv6=job["ipv6"], **job["link"]) as hosts:
        for host in hosts:
            set_up(host, job["sysctl"])
            names[host.name] = host
        yield names


def set_up(host: lab.Host, settings: Mapping[str, int | str]) -> None:
    """Make kernel settings of a host.

    Raises:
        NotAvailable: there is no such setting: the kernel may be too old for it, or shows it to root alone.
    """
    for name, value in settings.items():
        try:
            host.sysctl(name, value)
        except FileNotFoundError:
            from ..errors import NotAvailable

            here = f"in private networks on Linux {os.uname().release}"
            raise NotAvailable(f"this experiment sets {name}, which does not exist {here}") from None


def _plain(names: dict[str, Any], name: str) -> Any:
    if name not in names:
        raise LookupError(f"the program has no variable {name!r}")
    try:
        return _literal(names[name])
    except TypeError as error:
        raise TypeError(f"{name} is no plain value: {error}") from None


def _literal(value: Any) -> Any:
    """The same as a literal: subclasses (an IntEnum, a named tuple) become what they stand for."""
    if isinstance(value, bool) or value is None:
        return value
    for kind in _PLAIN:
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, dict):
        return {_literal(key): _literal(part) for key, part in value.items()}
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, list):
        return [_literal(part) for part in value]
    if isinstance(value, tuple):
        return tuple(_literal(part) for part in value)
    if isinstance(value, set | frozenset):
        return sorted(_literal(part) for part in value)
    raise TypeError(f"{type(value).__name__} is none of str, bytes, numbers, list, tuple, dict, set")


if __name__ == "__main__":
    main()
