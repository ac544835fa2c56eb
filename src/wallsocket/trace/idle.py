"""Work that nobody else may have to wait for: it is done while a processor has nothing to do."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from types import TracebackType
from typing import Any, Final

__all__ = ["Idle"]

#: Gives back what it gets.
_ECHO: Final = "cat"


class Idle:
    """Tells when a processor is idle: a small process that runs only then (sched(7), ``SCHED_IDLE``) gives back a byte.

    A thread of ours would hold Python's lock while it does not run, and everybody would wait for it; and who has gone behind
    all others cannot come back. The process is in our session, because sessions share processors with each other, whatever
    the policy of their processes (sched(7), "The autogroup feature"), and in a group of its own: keys of the terminal are not
    for it.

    >>> with Idle() as idle:  # doctest: +SKIP
    ...     select.select([idle.asked()], [], [])
    ...     idle.answered()
    """

    def __init__(self) -> None:
        #: Of the process; ``None``: none could be started, and every moment is taken as idle.
        self.pid: int | None = None
        self._asked = False
        self._there, self._out = os.pipe()
        self._answer, self._back = os.pipe()
        with contextlib.suppress(OSError):
            actions: list[Any] = [(os.POSIX_SPAWN_DUP2, self._there, 0), (os.POSIX_SPAWN_DUP2, self._back, 1)]
            # Who reads what we say on stderr waits until nobody can say more.
            actions.append((os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0))
            path = shutil.which(_ECHO)
            if path is not None:
                self.pid = os.posix_spawn(path, [_ECHO], {}, file_actions=actions, setpgroup=0)
                # It waits for our first byte; posix_spawn(3) itself knows no such policy.
                os.sched_setscheduler(self.pid, os.SCHED_IDLE, os.sched_param(0))
        if self.pid is not None:
            os.close(self._there)
            os.close(self._back)

    def asked(self) -> int:
        """Ask once; the descriptor that can be read when a processor is idle."""
        if not self._asked:
            self._asked = True
            # Who was killed says no more: then every moment is taken as idle, as where there is no process.
            with contextlib.suppress(BrokenPipeError):
                os.write(self._back if self.pid is None else self._out, b"x")
        return self._answer

    def answered(self) -> None:
        """Take the answer: the next :meth:`asked` asks anew."""
        os.read(self._answer, 1)
        self._asked = False

    def __enter__(self) -> Idle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._out)
        os.close(self._answer)
        if self.pid is None:
            os.close(self._there)
            os.close(self._back)
        else:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
            # To end it needs a processor as well: nobody waits for that.
            threading.Thread(target=_fetch, args=(self.pid,), name="idle", daemon=True).start()


def _fetch(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
