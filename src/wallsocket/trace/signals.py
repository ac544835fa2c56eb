"""The signals that end programs, while a command is traced: fetched, so that it is known where they come from."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["Fetched", "left_alone"]


class Fetched:
    """While active, the signals that end programs are given to a function, with where they come from.

    They are blocked and fetched by a thread, since only so their origin can be known (``si_code``, sigaction(2)).
    """

    _WANTED: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
    #: Wakes the thread up at the end.
    _WAKE: Final = signal.SIGURG
    #: The signal mask that this process had before.
    before: frozenset[int] = frozenset()

    @classmethod
    def for_guardian(cls) -> frozenset[int]:
        """The mask to start the guardian with: what comes before there is a command waits for it."""
        return cls.before | cls._WANTED | {signal.SIGTSTP}

    def __init__(self, handle: Callable[[int, bool], None]) -> None:
        self._handle = handle
        self._done = False

    def __enter__(self) -> None:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {*self._WANTED, self._WAKE})
        type(self).before = frozenset(int(number) for number in blocked)
        self._thread = threading.Thread(target=self._fetch, name="signals", daemon=True)
        self._thread.start()

    def _fetch(self) -> None:
        while True:
            information = signal.sigwaitinfo({*self._WANTED, self._WAKE})
            if self._done:
                return
            if information.si_signo != self._WAKE:
                # Positive codes come from the kernel: the terminal, which has told the command as well.
                self._handle(information.si_signo, information.si_code <= 0)

    def __exit__(self, *exception: object) -> None:
        self._done = True
        if self._thread.ident is not None:
            signal.pthread_kill(self._thread.ident, self._WAKE)
            self._thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, self.before)


@contextlib.contextmanager
def left_alone() -> Iterator[None]:
    """Instead of :class:`Fetched` in a process whose signals are not ours: the guardian gets its mask all the same."""
    Fetched.before = frozenset(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    yield
