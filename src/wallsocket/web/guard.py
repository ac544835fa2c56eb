"""Who may see the page: the browser that was given its address, and no other site that the same browser shows.

A recording holds what programs said to each other. The server listens on loopback, which every program of every user of
the machine reaches, and which a page from elsewhere may reach through the browser (a name whose address is changed to
127.0.0.1 makes that page one of our own origin). So each request must

- name the host 127.0.0.1 or localhost with our port (RFC 9110, 7.2): a name from elsewhere is refused;
- come from our own origin, where it has one (``Origin``, RFC 6454; ``Sec-Fetch-Site``, W3C Fetch Metadata);
- carry the cookie that the browser got in exchange for the token of the printed address. The token is good for one
  browser: the address may be seen by others in a list of processes, or in a shared terminal.

Who orders that a program of his be run must moreover own the browser's end of the connection (:func:`may_run_programs`): the
kernel knows whose it is, and whoever was quicker with the address in a list of processes gains nothing.

What is answered may load nothing from elsewhere and run no script but our own files (Content Security Policy Level 3).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, MutableMapping
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..kernel import here

__all__ = ["HEADERS", "Guard", "may_run_programs"]

#: Sent with everything.
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_METHODS: Final = {"GET", "HEAD", "POST"}
#: A page of ours makes these; an address that is typed or opened has ``none``.
_OWN_SITES: Final = {"same-origin", "none"}


class Guard:
    """Lets through to ``app`` what comes from the page's own browser.

    Args:
        app: what is guarded.
        token: stands in the address that is printed, and is good for one browser.
        start: where the browser goes with its cookie.
    """

    def __init__(self, app: ASGIApp, token: str, start: str = "/") -> None:
        self._start = start
        self._app = app
        self._token: str | None = token
        self._session = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return
        port = scope["server"][1]
        answer = self._judge(scope, Headers(scope=scope), port)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=_as_scope(message))
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await (answer or self._app)(scope, receive, send_guarded)

    def _judge(self, scope: Scope, headers: Headers, port: int) -> Response | None:
        """The refusal, or the cookie; ``None`` lets it through."""
        hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or host not in hosts:
            return PlainTextResponse("This page is at 127.0.0.1 only; the request names another host.\n", 421)
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return PlainTextResponse("Requests from other sites are refused.\n", 403)
        if scope["method"] not in _METHODS:
            return PlainTextResponse("This method is not served.\n", 405)
        if scope["method"] == "POST" and origin is None:
            return PlainTextResponse("A change must come from the page itself.\n", 403)
        name = f"wallsocket-{port}"
        known = any(secrets.compare_digest(value.encode(), self._session.encode()) for value in _cookies(headers, name))
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
        if scope["path"] == "/" and given:
            if known:
                return _forward(self._start)
            # The cookie first, the token after: two requests at once must not both get one.
            if self._token is not None and secrets.compare_digest(given[0].encode(), self._token.encode()):
                self._token = None
                answer = _forward(self._start)
                answer.set_cookie(name, self._session, httponly=True, samesite="strict", path="/")
                return answer
            return _refusal("This address was used before, or is not the one that was printed.")
        if not known:
            return _refusal("This browser has no access.")
        if headers.get("sec-fetch-site", "same-origin") not in _OWN_SITES:
            return PlainTextResponse("Requests from other sites are refused.\n", 403)
        return None


def may_run_programs(scope: Scope) -> bool:
    """Whether a request comes from a program of the user as whom this one runs, or who called ``sudo`` for it.

    Where the kernel tells nothing of sockets the cookie alone decides.
    """
    if not scope.get("client"):
        return False
    try:
        found = here.sockets("tcp", local_port=scope["client"][1], peer_port=scope["server"][1])
    except OSError:
        return True
    owners = {socket.uid for socket in found}
    allowed = {os.geteuid(), int(os.environ["SUDO_UID"])} if _by_sudo() else {os.geteuid()}
    return bool(owners) and owners <= allowed


def _by_sudo() -> bool:
    return os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal()


def _as_scope(message: Message) -> MutableMapping[str, Any]:
    message.setdefault("headers", [])
    return message


def _cookies(headers: Headers, name: str) -> Iterable[str]:
    for header in headers.getlist("cookie"):
        try:
            found = SimpleCookie(header).get(name)
        except CookieError:
            continue
        if found is not None:
            yield found.value


def _forward(start: str) -> HTMLResponse:
    """On to the page, by a step of our own: after a link from elsewhere the cookie would not come along (SameSite=Strict)."""
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={escape(start)}">'
        '<link rel="icon" href="/static/icon.svg">'
        f'<title>Wallsocket</title><p><a href="{escape(start)}">Continue</a>'
    )


def _refusal(reason: str) -> HTMLResponse:
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Wallsocket: no access</title>'
        f"<h1>No access</h1><p>{escape(reason)} Start <code>wallsocket web</code> again and open the address that it "
        "prints; it is good for one browser.",
        403,
    )
