"""The server of the page, in a thread of its own: on 127.0.0.1 alone, at a port that is free."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

import uvicorn

from ..errors import NotAvailable
from ..trace.text import escape
from ..view import Feed
from .app import application
from .guard import Guard
from .workshop import Workshop

__all__ = ["Page"]

#: How long the server may need to listen, and to end: browsers hold streams open, which are cut.
_START_S: Final = 20.0
_END_S: Final = 1


class _OneLine(logging.Handler):
    """What the server says of its own faults, in a line; that it cuts off what is still answered at its end is none."""

    #: A server that cannot begin is told by who wanted it.
    began = False

    def emit(self, record: logging.LogRecord) -> None:
        """Say it on stderr."""
        if not self.began:
            return
        error = record.exc_info[1] if record.exc_info else None
        if record.levelno < logging.ERROR or isinstance(error, asyncio.CancelledError):
            return
        text = f"{type(error).__name__}: {error}" if error is not None else record.getMessage()
        if not text.startswith("Cancel "):
            print(f"wallsocket: the page: {' '.join(escape(text).split())}", file=sys.stderr, flush=True)


class Page:
    """Serves a feed while it is entered.

    Args:
        feed: what is shown.
        port: where; 0 for any that is free.
        workshop: plays lessons and runs services for the page; without it the page only shows.
        screen: which screen comes first, as in the page's addresses.

    Attributes:
        url: the address to open, once.
    """

    url: str

    def __init__(self, feed: Feed, *, port: int = 0, workshop: Workshop | None = None, screen: str = "") -> None:
        self._token = secrets.token_urlsafe(24)
        config = uvicorn.Config(
            Guard(
                application(feed, lambda: self._server.should_exit, workshop),
                self._token,
                f"/#/{screen}" if screen else "/",
            ),
            host="127.0.0.1",
            port=port,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_END_S,
        )
        self._server = uvicorn.Server(config)
        self._failure: BaseException | None = None
        self._log = logging.getLogger("uvicorn.error")
        self._handler = _OneLine()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def _run(self) -> None:
        try:
            self._server.run()
        except (OSError, SystemExit) as error:
            self._failure = error

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            NotAvailable: the port cannot be had.
        """
        self._log.addHandler(self._handler)
        self._log.propagate = False
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self._forget_log()
                raise NotAvailable("the page cannot listen on 127.0.0.1: the port is taken, or refused here")
            time.sleep(0.005)
        self._handler.began = True
        host, port = self._address()
        self.url = f"http://{host}:{port}/?token={self._token}"
        return self

    def _address(self) -> tuple[str, int]:
        found: Any = self._server.servers[0].sockets[0].getsockname()
        return str(found[0]), int(found[1])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_START_S)
        self._forget_log()

    def _forget_log(self) -> None:
        self._log.removeHandler(self._handler)
        self._log.propagate = True
