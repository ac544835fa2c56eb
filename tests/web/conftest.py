"""Real recordings, and a browser that looks at them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, sync_playwright
from playwright.sync_api import Page as Tab

from wallsocket.view import Feed, Status
from wallsocket.web import Page

PROGRAMS = Path(__file__).with_name("programs")
CHROMIUM = shutil.which("chromium")
#: What a loaded machine may need; nothing waits so long when all is well.
PATIENCE_MS = 60_000


def trace(output: Path, *command: str) -> Path:
    """Run a command under the trace, in a private network, where the wire is seen."""
    done = subprocess.run(
        [sys.executable, "-m", "wallsocket", "trace", "-q", "--lab", "-o", str(output), "--", *command],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert output.exists(), done.stderr
    return output


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with findings, all kinds of sockets, and hostile names and bytes."""
    path = tmp_path_factory.mktemp("service") / "service.wsrec"
    return trace(path, sys.executable, str(PROGRAMS / "service.py"), "<script>alert(1)</script>", "a\u202eb\x1b[2J")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that look at a page stay together: a browser is started once for each module."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("browser"))


# Not for the session: while it is there, an event loop runs in this thread, and other tests could not run theirs.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    with chromium.new_context(viewport={"width": 1280, "height": 800}) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context


def until(feed: Feed, fits: Callable[[Status], bool]) -> Status:
    """The first status that fits."""
    come = threading.Event()
    with feed.listen(lambda status: come.set() if fits(status) else None):
        assert fits(feed.status) or come.wait(PATIENCE_MS / 1000), feed.status
    return feed.status


class Watched:
    """A tab, and what its console said."""

    def __init__(self, context: BrowserContext) -> None:
        self.tab: Tab = context.new_page()
        self.said: list[str] = []
        self.tab.on("console", self._said)
        self.tab.on("pageerror", lambda error: self.said.append(f"error: {error}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(f"{message.type}: {message.text}")

    def show(self, page: Page, route: str = "overview") -> Tab:
        """Open the page, and one of its screens."""
        self.tab.goto(page.url)
        self.tab.wait_for_selector("main .screen")
        self.tab.wait_for_selector("body[data-stage=ready]")
        return self.go(route)

    def go(self, route: str) -> Tab:
        """Another screen."""
        self.tab.evaluate("route => { location.hash = route }", f"#/{route}")
        self.tab.wait_for_selector(f"main .screen-{route.split('/')[0].split('?')[0]}")
        return self.tab


@pytest.fixture
def watched(context: BrowserContext) -> Iterator[Watched]:
    """A tab whose console must stay silent."""
    watched = Watched(context)
    yield watched
    assert watched.said == []


@pytest.fixture
def page(service: Path) -> Iterator[Page]:
    """The page of the recorded service."""
    with Feed(service) as feed, Page(feed) as page:
        until(feed, lambda status: status.stage == "ready")
        yield page
