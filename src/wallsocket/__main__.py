"""``python -m wallsocket`` and the command ``wallsocket``.

Ctrl-C may come while the command line is still being imported: what stands outside the ``try`` costs no time.
"""

from __future__ import annotations

import _thread
import os
import sys
import time

__all__ = ["main"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_SIGINT = 2  # signal(7); the module signal is not imported yet


def _again(unraisable: UnraisableHookArgs) -> None:
    """Press Ctrl-C once more where the interpreter lost it.

    A :class:`KeyboardInterrupt` in a ``__del__`` or in a callback of a weak reference, which each import has, is printed
    and forgotten (sys.unraisablehook): the command would go on.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        _thread.start_new_thread(_press, ())
    else:
        sys.__unraisablehook__(unraisable)


def _press() -> None:
    time.sleep(0.01)  # until the callback has ended
    os.kill(os.getpid(), _SIGINT)


def main() -> int:
    """Run the command line; the result is the exit status."""
    try:
        sys.unraisablehook = _again
        from .cli import main as run

        status = run()
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done: the interpreter's end is not interrupted
        return status
    except KeyboardInterrupt:
        # The words and the status of cli.main, which may not be there yet.
        sys.stderr.write("wallsocket: interrupted\n")
        return 130
    finally:
        # CPython notes that a KeyboardInterrupt left an exec(), a dataclass being made for instance, and ends by SIGINT
        # however it was handled (Python/pythonrun.c, run_eval_code_obj); the next exec() forgets it.
        exec("")  # noqa: S102


if __name__ == "__main__":
    sys.exit(main())
