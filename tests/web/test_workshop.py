"""What the page does: it plays lessons and runs services, for its own browser alone, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.web.conftest import PATIENCE_MS
from tests.web.test_guard import ask, enter
from wallsocket.errors import UsageError, WallsocketError
from wallsocket.view import Feed, Status
from wallsocket.web import Page, Workshop
from wallsocket.web import workshop as module
from wallsocket.web.workshop import Busy


@pytest.fixture
def feed() -> Iterator[Feed]:
    with Feed(learns=True) as feed:
        yield feed


@pytest.fixture
def workshop(feed: Feed) -> Iterator[Workshop]:
    with Workshop(feed) as workshop:
        yield workshop


def until(feed: Feed, fits: Callable[[], bool]) -> None:
    """Wait until something is there to be seen."""
    come = threading.Event()

    def look(_: Status) -> None:
        with contextlib.suppress(Exception):  # not yet
            if fits():
                come.set()

    with feed.listen(look):
        look(feed.status)
        assert come.wait(PATIENCE_MS / 1000)


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def order(page: Page, name: str, body: bytes, **headers: str) -> tuple[int, Any]:
    given = {"origin": f"http://127.0.0.1:{urlsplit(page.url).port}", "content_type": "application/json"} | headers
    status, _, answer = ask(page, f"/learn/{name}", method="POST", body=body, **given)
    return status, json.loads(answer) if answer.startswith(b"{") else answer


def test_orders_come_from_the_page_s_own_browser_and_are_understood(feed: Feed, workshop: Workshop) -> None:
    with Page(feed, workshop=workshop, screen="lessons") as page:
        # The page begins where it was told to.
        assert b'url=/#/lessons"' in ask(page, f"/?{urlsplit(page.url).query}")[2]
    with Page(feed, workshop=workshop) as page:
        cookie = enter(page)
        stop = b"{}"
        asked = json.loads(ask(page, "/learn/stage", cookie=cookie)[2])
        assert order(page, "stop", stop, cookie=cookie) == (200, asked)
        assert asked["state"] is None
        assert order(page, "stop", stop)[0] == 403
        assert order(page, "stop", stop, cookie=cookie, origin="https://evil.example")[0] == 403
        assert (
            ask(page, "/learn/stop", method="POST", body=stop, cookie=cookie, content_type="application/json")[0] == 403
        )
        assert order(page, "stop", stop, cookie=cookie, content_type="text/plain")[0] == 415
        assert order(page, "stop", b"x" * (65 << 10), cookie=cookie)[0] == 413
        for name, body, said in (
            ("stop", b"{", "an order is JSON"),
            ("stop", b"[" * 60_000, "an order is JSON"),
            ("stop", b'{"all": 1}', "unknown field"),
            ("nothing", b"{}", "there are play, check, start, set, stop"),
            ("play", b'{"claim": "U999"}', "no lesson or claim 'U999'"),
            ("play", b'{"claim": "udp-life"}', "name one of them"),
            ("play", b'{"claim": "U01", "answer": "Z"}', "no answer"),
            ("check", b'{"exercise": "sing"}', "no exercise 'sing'"),
            ("check", b'{"exercise": "lines"}', "no program yet"),
            ("check", b'{"exercise": "lines", "suffix": "/../x.py", "text": "x"}', "no language"),
            ("start", b'{"service": "mail"}', "no service 'mail'"),
            ("start", b'{"service": "requests", "client": "a/b"}', "host"),
            ("start", b'{"service": "requests", "settings": {"loss": 101}}', "Loss is between 0 and 60 %"),
            ("set", b'{"settings": {"loss": 1}}', "nothing runs"),
        ):
            status, answer = order(page, name, body, cookie=cookie)
            assert (status, said in answer["problem"]) == (400, True), answer
        # Without a workshop there is nothing to order.
    with Page(feed) as page:
        assert order(page, "stop", stop, cookie=enter(page))[0] == 404


def test_a_claim_is_played_and_its_recording_is_what_is_shown(feed: Feed, workshop: Workshop) -> None:
    found: Any = workshop.do("play", {"claim": "U01", "answer": "B"})
    assert (found.verdict, found.right, found.failure, found.shows) == ("true", True, "", "ladder")
    cards: Any = feed.ask("conversations", {})
    assert any(card.kind == "udp" and card.left.startswith("U01") for card in cards.cards)
    overview: Any = workshop.ask("lessons", {})
    played = [word.verdict for door in overview.doors for card in door.lessons for word in card.claims if word.verdict]
    assert played == ["true"]
    quiz: Any = workshop.ask("quiz", {"names": "T34 T31"})
    assert [one.id for one in quiz.questions] == ["T34", "T31"]
    with pytest.raises(UsageError, match="no door"):
        workshop.ask("quiz", {"door": "cellar"})


def test_a_service_runs_until_nobody_looks_any_more(
    feed: Feed, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def state() -> Any:
        found: Any = workshop.ask("stage", {})
        return found.state

    def both_ends() -> bool:
        cards: Any = feed.ask("conversations", {})
        return any(card.right and card.segments for card in cards.cards)

    with workshop.watched():
        names = {"client": "laptop", "server": "db"}
        settings = {"delay": 5, "pause_ms": 200, "timeout_ms": 100}
        workshop.do("start", {"service": "datagrams", **names, "settings": settings})
        until(feed, both_ends)
        assert [host.name for host in state().hosts] == ["laptop", "db"]
        workshop.do("set", {"settings": {"loss": 60}, "cut": True})
        until(feed, lambda: any(way.lost for way in state().ways))
        with pytest.raises(UsageError, match="has no setting 'backlog'"):
            workshop.do("set", {"settings": {"backlog": 1}})
        assert (state().running, state().cut, state().settings["loss"]) == (True, True, 60)
        assert feed.snapshot is not None
        pids = [process.pid for process in feed.snapshot.recording.processes.values()]
        assert sum(map(is_there, pids)) == 2
        # Who waits too long is told so.
        monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
        with workshop._busy, pytest.raises(Busy):
            workshop.do("stop", {})
    monkeypatch.setattr(module, "GRACE_S", 0.0)
    until(feed, lambda: not feed.status.growing)
    assert not any(map(is_there, pids))
    assert state().ended == "The page was closed."


def test_programs_are_run_for_the_user_of_the_page_alone(
    feed: Feed, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cookie that somebody else's browser got is not enough: the kernel says whose the connection is."""
    ran = tmp_path / "ran"
    body = json.dumps({"exercise": "lines", "text": f"open({str(ran)!r}, 'w'); import"}).encode()
    with Page(feed, workshop=workshop) as page:
        cookie = enter(page)
        for headers, status in (({}, 403), ({"cookie": cookie, "origin": "https://evil.example"}, 403)):
            assert order(page, "check", body, **headers)[0] == status
        status, answer = order(page, "check", body, cookie=cookie)
        assert (status, answer["verdict"]) == (200, "could not run")
        monkeypatch.setattr("wallsocket.web.guard.os.geteuid", lambda: 4_000_000)
        status, answer = order(page, "check", body, cookie=cookie)
        assert (status, "of the user who started this page" in answer["problem"]) == (403, True)
        # Looking needs no more than the cookie.
        assert ask(page, "/learn/exercises", cookie=cookie)[0] == 200
        monkeypatch.undo()
        monkeypatch.setenv("SUDO_UID", str(os.geteuid()))
        monkeypatch.setattr("wallsocket.web.guard.os.geteuid", lambda: 0)
        assert order(page, "check", body, cookie=cookie)[0] == 200
    assert not ran.exists()


def endless(folder: Path) -> tuple[Path, Path]:
    """A program without end; who reads the pipe hears when it has begun, and that it has ended."""
    alive, program = folder / "alive", folder / "mine.py"
    os.mkfifo(alive)
    program.write_text(f"file = open({str(alive)!r}, 'w')\nprint('begun', file=file, flush=True)\nwhile True: pass\n")
    return program, alive


def test_a_file_of_ones_own_is_checked_and_ends_with_the_page(tmp_path: Path) -> None:
    program, alive = endless(tmp_path)
    said: list[object] = []
    with Feed(learns=True) as feed:
        with Workshop(feed) as workshop:

            def check() -> None:
                try:
                    said.append(workshop.do("check", {"exercise": "lines", "file": str(program)}))
                except WallsocketError as error:
                    said.append(str(error))

            checking = threading.Thread(target=check)
            checking.start()
            hears = alive.open()
            assert hears.readline() == "begun\n"
        checking.join()
        with hears:
            assert hears.read() == ""
    assert said == ["it was ended before the program was"]


def test_the_end_of_the_page_ends_what_it_started() -> None:
    with Feed(learns=True) as feed:
        with Workshop(feed) as workshop, workshop.watched():
            workshop.do("start", {"service": "requests"})
            until(feed, lambda: feed.snapshot is not None and len(feed.snapshot.recording.processes) >= 2)
            assert feed.snapshot is not None
            pids = [process.pid for process in feed.snapshot.recording.processes.values()]
        assert not any(map(is_there, pids))


def test_who_waits_is_answered_when_the_page_ends(feed: Feed, workshop: Workshop, tmp_path: Path) -> None:
    program, alive = endless(tmp_path)
    body = json.dumps({"exercise": "lines", "file": str(program)}).encode()
    with ThreadPoolExecutor(1) as pool:
        with Page(feed, workshop=workshop) as page:
            waits = pool.submit(order, page, "check", body, cookie=enter(page))
            with alive.open() as hears:
                assert hears.readline() == "begun\n"
            workshop.end()
        assert waits.result(PATIENCE_MS / 1000) == (400, {"problem": "it was ended before the program was"})
