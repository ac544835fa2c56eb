"""What the page asks for: its files, views as JSON, a word when there is something new; and what it orders."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Final

import anyio.to_thread
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ..errors import RecordingError, UsageError, WallsocketError
from ..trace.text import escape
from ..view import Feed, NotReady, Status
from .files import static_files
from .guard import may_run_programs
from .workshop import RUNS_PROGRAMS, Busy, Workshop

__all__ = ["application"]

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: A stream on which nothing comes is told so often that it lives, so that a lost one is noticed.
_HEARTBEAT_S: Final = 15.0
#: Whether the server is to end is looked at so often.
_LOOK_S: Final = 0.25
#: An order is a few names and numbers.
_LARGEST_ORDER: Final = 64 << 10


def application(feed: Feed, ending: Callable[[], bool] = lambda: False, workshop: Workshop | None = None) -> Starlette:
    """The application, without its guard; once ``ending`` is true its streams end. Without ``workshop`` it only shows."""

    async def index(_: Request) -> Response:
        return Response(_index(), media_type=_TYPES[".html"])

    async def static(request: Request) -> Response:
        return _file(request.path_params["name"])

    async def view(request: Request) -> Response:
        name, arguments = request.path_params["name"], dict(request.query_params)

        def answer() -> Response:
            try:
                found = feed.ask(name, arguments)
            except UsageError as error:
                return _problem(str(error), 400)
            except NotReady as error:
                return _problem(str(error), 202)
            except RecordingError as error:
                return _problem(str(error), 500)
            except Exception as error:
                # A fault of ours costs one view, not the page.
                return _problem(f"{name}: this view failed ({type(error).__name__}: {error})", 500)
            return Response(msgspec.json.encode(found), media_type="application/json")

        return await anyio.to_thread.run_sync(answer)

    async def learn(request: Request) -> Response:
        assert workshop is not None
        name = request.path_params["name"]
        if request.method == "GET":
            arguments = dict(request.query_params)
            return await anyio.to_thread.run_sync(_tried, name, lambda: workshop.ask(name, arguments))
        if request.headers.get("content-type") != "application/json":
            return _problem("an order is JSON", 415)
        if name in RUNS_PROGRAMS and not may_run_programs(request.scope):
            return _problem("programs are run for browsers of the user who started this page only", 403)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST_ORDER:
                return _problem(f"an order has at most {_LARGEST_ORDER} bytes", 413)
        try:
            order = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            return _problem(f"an order is JSON: {error}", 400)
        return await anyio.to_thread.run_sync(_tried, name, lambda: workshop.do(name, order))

    async def events(request: Request) -> Response:
        watched = workshop.watched() if workshop is not None else None
        return StreamingResponse(
            _statuses(feed, request.headers.get("last-event-id", ""), ending, watched), media_type="text/event-stream"
        )

    return Starlette(
        routes=[
            Route("/", index),
            Route("/static/{name}", static),
            Route("/view/{name}", view),
            Route("/events", events),
            *([Route("/learn/{name}", learn, methods=["GET", "POST"])] if workshop is not None else []),
        ]
    )


def _tried(name: str, answer: Callable[[], msgspec.Struct]) -> Response:
    try:
        found = answer()
    except Busy as error:
        return _problem(str(error), 409)
    except (WallsocketError, OSError) as error:
        return _problem(str(error), 400)
    except Exception as error:
        return _problem(f"{name}: this failed ({type(error).__name__}: {error})", 500)
    return Response(msgspec.json.encode(found), media_type="application/json")


@cache
def _index() -> bytes:
    """The page, which names all modules, so that the browser asks for them at once and not one after the other."""
    files = static_files()
    links = "".join(f'<link rel="modulepreload" href="/static/{name}">' for name in files if name.endswith(".mjs"))
    return files["index.html"].replace(b"</head>", f"{links}</head>".encode())


def _file(name: str) -> Response:
    found = static_files().get(name)
    if found is None:
        return PlainTextResponse("There is no such file.\n", 404)
    return Response(found, media_type=_TYPES.get(name[name.rfind(".") :], "application/octet-stream"))


def _problem(text: str, status: int) -> Response:
    return Response(msgspec.json.encode({"problem": escape(text)}), status, media_type="application/json")


async def _statuses(
    feed: Feed,
    last_seen: str,
    ending: Callable[[], bool],
    watched: contextlib.AbstractContextManager[None] | None = None,
) -> AsyncIterator[bytes]:
    """Each new status as an event; ``last_seen`` is the id of the one that the browser had before it lost the stream."""
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def wake(_: Status) -> None:
        loop.call_soon_threadsafe(news.set)

    told: Status | None = None
    with watched or contextlib.nullcontext(), feed.listen(wake):
        if last_seen == _id_of(feed.status):
            told = feed.status
        silent_s = 0.0
        while not ending():
            status = feed.status
            if status != told:
                told = status
                text = msgspec.json.encode(status).decode()
                silent_s = 0.0
                yield f"id: {_id_of(status)}\nevent: status\ndata: {text}\n\n".encode()
            news.clear()
            if feed.status != told:
                continue
            try:
                await asyncio.wait_for(news.wait(), _LOOK_S)
            except TimeoutError:
                silent_s += _LOOK_S
                if silent_s >= _HEARTBEAT_S:
                    silent_s = 0.0
                    yield b": still here\n\n"


def _id_of(status: Status) -> str:
    return f"{status.generation}-{status.stage}-{status.done}"
