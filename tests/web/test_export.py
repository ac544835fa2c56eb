"""The page as one file: it opens from a disk, works as the page does, and holds what may leave."""

from __future__ import annotations

import base64
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, expect

from tests.support.recordings import lost_letter
from tests.web.conftest import PATIENCE_MS, Watched
from wallsocket.view import Snapshot, ask
from wallsocket.web import html
from wallsocket.web.files import static_files

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def discreet(service: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "service.html"
    html(service, path)
    return path


@pytest.fixture
def opened(context: BrowserContext) -> Any:
    watched = Watched(context)
    yield watched
    assert watched.said == []


def key(service: Path) -> str:
    with Snapshot.open(service) as snapshot:
        found: Any = ask(snapshot, "overview", {})
        return next(card.conversation for card in found.findings if card.rule == "close-with-unread-data")


def test_what_may_not_leave_does_not(service: Path, discreet: Path) -> None:
    text = discreet.read_bytes()
    for secret in (
        b"img src=x onerror",
        b"alert(1)",
        b"onclick",
        b"question",
        b"over there",
        b"document.title='owned'",
    ):
        assert secret not in text, secret
        # Nor as the bytes of a view, wherever they begin.
        for shift in range(3):
            coded = base64.b64encode(b"x" * shift + secret)[4 if shift else 0 : -4]
            # A few letters stand there by chance.
            assert len(coded) < 12 or coded not in text, secret
    assert stat.S_IMODE(discreet.stat().st_mode) == 0o600


def test_with_payload_all_of_it_is_there_and_does_nothing(service: Path, tmp_path: Path, opened: Watched) -> None:
    path = tmp_path / "all.html"
    done = subprocess.run(
        [sys.executable, "-m", "wallsocket", "export", "--with-payload", str(service), str(path)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Two scripts and the data; nothing else of it begins an element.
    assert len(re.findall(rb"<script", path.read_bytes())) == 3
    opened.tab.goto(path.as_uri())
    expect(opened.tab.get_by_role("region", name="Table of programs")).to_contain_text("<script>alert(1)</script>")
    expect(opened.tab.locator(".cards")).to_contain_text("<b onclick=alert(1)>")
    assert opened.tab.title() == "Overview · Wallsocket"


def test_every_screen_works_from_a_disk(service: Path, discreet: Path, opened: Watched) -> None:
    tab = opened.tab
    tab.goto(discreet.as_uri())
    expect(tab.locator(".finding").first).to_be_visible()
    conversation = key(service)
    screens = {"ladder": ".card", f"ladder/{conversation}": ".row .said", "finding/1": ".proof-row"}
    screens[f"states/{conversation}"] = "svg.states"
    screens |= {f"{name}/{conversation}": ".plot canvas" for name in ("sequence", "river", "gauges")}
    for route, there in screens.items():
        opened.go(route)
        tab.wait_for_selector(there)
        assert Axe().run(tab).violations_count == 0, route
        expect(tab.get_by_role("alert")).to_be_hidden()
    opened.go("finding/3")
    tab.locator("a.proof-row").first.click()
    listed = tab.get_by_role("listbox").get_by_role("option", selected=True)
    expect(listed).to_have_count(1)
    detail = tab.get_by_role("complementary")
    expect(detail).to_contain_text("Line of code")
    expect(detail).not_to_contain_text("AAAA")


ASKED: list[dict[str, Any]] = [
    {"search": "recv"},
    {"only": "failed"},
    {"only": "segment"},
    {"only": "state", "search": "wait"},
    {"level": "1"},
]


def test_searches_find_the_same_as_on_the_page(service: Path, discreet: Path, opened: Watched) -> None:
    conversation = key(service)
    tab = opened.tab
    tab.goto(discreet.as_uri())
    with Snapshot.open(service) as snapshot:
        for options in (
            {"search": "recv"},
            {"only": "failed"},
            {"only": "segment"},
            {"only": "state", "search": "wait"},
            {"level": "1"},
        ):
            found: Any = ask(snapshot, "ladder", {"conversation": conversation, **options})
            query = "&".join(f"{name}={value}" for name, value in options.items())
            opened.go(f"ladder/{conversation}?{query}")
            expect(tab.locator(".list .row:not([hidden])")).to_have_count(min(found.total, 14))
            count = (
                f"{found.total} of {found.whole} lines"
                if "level" not in options
                else f"{found.total} groups of 4 lines"
            )
            expect(tab.locator(".tools [role=status]")).to_have_text(count)


def test_the_page_itself_is_small(tmp_path: Path) -> None:
    lost_letter(tmp_path / "run.wsrec").close()
    html(tmp_path / "run.wsrec", tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 400_000
    assert sum(map(len, static_files().values())) < 300_000


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    lost_letter(tmp_path / "run.wsrec").close()
    done = subprocess.run(
        [sys.executable, "-m", "wallsocket", "export", str(tmp_path / "run.wsrec"), str(tmp_path / "no" / "page.html")],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No such file" in done.stderr
