"""Nobody but the page's own browser gets an answer."""

from __future__ import annotations

import contextlib
import http.client
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from wallsocket.view import Feed
from wallsocket.web import Page
from wallsocket.web.guard import HEADERS

Answer = tuple[int, dict[str, str], bytes]


def ask(page: Page, path: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
    address = urlsplit(page.url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host="host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        if body:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def enter(page: Page) -> str:
    """The cookie, in exchange for the token."""
    address = urlsplit(page.url)
    status, headers, _ = ask(page, f"/?{address.query}")
    assert status == 200
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    return cookie.partition(";")[0]


def test_a_token_is_good_once(page: Page) -> None:
    path = f"/?{urlsplit(page.url).query}"
    assert ask(page, path)[0] == 200
    status, headers, body = ask(page, path)
    assert (status, "set-cookie" in headers) == (403, False)
    assert b"used before" in body


@pytest.mark.parametrize("path", ["/", "/static/app.mjs", "/view/overview", "/events", "/?token=wrong"])
def test_nothing_is_shown_without_the_cookie(page: Page, path: str) -> None:
    assert ask(page, path)[0] == 403
    name = enter(page).partition("=")[0]
    assert ask(page, path, cookie=f"{name}=wrong")[0] == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example", ""])
def test_another_name_for_this_host_is_refused(page: Page, host: str) -> None:
    cookie = enter(page)
    assert ask(page, "/view/overview", cookie=cookie, host=host)[0] in (400, 421)
    port = urlsplit(page.url).port
    assert ask(page, "/", cookie=cookie, host=f"localhost:{port}")[0] == 200


def test_other_sites_are_refused(page: Page) -> None:
    cookie = enter(page)
    own = f"http://127.0.0.1:{urlsplit(page.url).port}"
    assert ask(page, "/view/overview", cookie=cookie, origin=own)[0] == 200
    for origin in ("https://evil.example", "null", own.replace("http:", "https:"), f"{own}.evil.example"):
        assert ask(page, "/view/overview", cookie=cookie, origin=origin)[0] == 403
    for site in ("cross-site", "same-site"):
        assert ask(page, "/view/overview", cookie=cookie, sec_fetch_site=site)[0] == 403


def test_changes_come_from_the_page_itself(page: Page) -> None:
    cookie = enter(page)
    assert ask(page, "/view/overview", method="POST", cookie=cookie)[0] == 403
    assert ask(page, "/view/overview", method="DELETE", cookie=cookie)[0] == 405


def test_every_answer_says_what_may_run(page: Page) -> None:
    cookie = enter(page)
    for path, headers in (
        ("/", {"cookie": cookie}),
        ("/", {}),
        ("/no/such", {"cookie": cookie}),
        ("/", {"host": "other"}),
    ):
        answered = ask(page, path, **headers)[1]
        assert {name: answered.get(name) for name in HEADERS} == HEADERS
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/static/../app.py", 404), ("/static/%2e%2e%2fapp.py", 404), ("/static/no.mjs", 404),
        ("/view/none", 400), ("/view/ladder", 400), ("/view/ladder?conversation=999", 400),
        ("/view/ladder?conversation=1&count=many", 400), ("/view/detail?table=call&row=99999999", 400),
        ("/view/overview?other=1", 400), ("/view/ladder?conversation=1&only=nothing", 400),
    ],
)  # fmt: skip
def test_wrong_questions_get_one_clear_line(page: Page, path: str, status: int) -> None:
    found, _, body = ask(page, path, cookie=enter(page))
    assert found == status
    assert body.count(b"\n") <= 1
    assert b"Traceback" not in body


def test_its_end_waits_for_no_answer_and_says_nothing(
    service: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        asked.set()
        let_go.wait(60)

    with Feed(service) as feed, Page(feed) as page:
        monkeypatch.setattr(feed, "ask", slow)
        cookie = enter(page)

        def look() -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                ask(page, "/view/overview", cookie=cookie)

        browser = threading.Thread(target=look)
        browser.start()
        assert asked.wait(60)
        page.__exit__(None, None, None)
        let_go.set()
        browser.join()
    assert "Traceback" not in capfd.readouterr().err
