"""The site in a browser: nothing is too wide, nothing is loaded from elsewhere, nothing complains, and the search finds a rule.

A part of it is built: all pages that are written by hand and the pages of some rules. `make docs` builds the whole, with
every warning an error.
"""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import DOCS, pages
from tests.support.repository import ROOT

CHROMIUM = shutil.which("chromium")
SPHINX = ROOT / "build/docs-environment/bin/sphinx-build"
RULES = ("close-with-unread-data", "address-in-use-listener", "accept-queue-stands")
LESSONS = ("udp-binding",)
PAGES = (
    "index",
    "start",
    "howto/hangs",
    "howto/instead-of",
    "rule/index",
    *(f"rule/{rule}" for rule in RULES),
    "lesson/index",
    "lesson/tasks",
    *(f"lesson/{lesson}" for lesson in LESSONS),
    "causes",
    "recording",
)

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif(not SPHINX.exists(), reason="the documents' tools are not installed: scripts/docs environment"),
    pytest.mark.xdist_group("site"),
    pytest.mark.timeout(400),  # the first of them builds the site
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
    folder = tmp_path_factory.mktemp("site")
    # The pages of the rules include their examples from ../../src.
    (folder / "src").symlink_to(ROOT / "src")
    shutil.copytree(
        DOCS, folder / "docs", ignore=shutil.ignore_patterns("_build", "rule", "lesson", "reference", "__pycache__")
    )
    words = [sys.executable, str(ROOT / "scripts/rule-pages"), "--to", str(folder / "docs/rule")]
    environment = {**os.environ, "XDG_STATE_HOME": str(folder), "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([*words, "--recordings", str(folder / "kept"), *RULES], check=True, timeout=180, env=environment)
    words = [sys.executable, str(ROOT / "scripts/lesson-pages"), "--to", str(folder / "docs/lesson")]
    subprocess.run([*words, "--runs", str(folder / "runs"), *LESSONS], check=True, timeout=180, env=environment)
    warnings = folder / "warnings"
    subprocess.run(
        [str(SPHINX), "-q", "-w", str(warnings), "-b", "html", "docs", "html"],
        check=True, timeout=180, cwd=folder, env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    # What was left out is missed.
    left_out = re.compile(
        r"'?(?:reference/|rule/|lesson/)|\b(?:rule|lesson)/|\.\./(?:rule|lesson)"
        r"|cross-reference target not found: '[a-z0-9-]+\.md(?:#[a-z0-9-]+)?'"
    )
    complaints = [line for line in warnings.read_text().splitlines() if line.strip() and not left_out.search(line)]
    assert complaints == []
    return folder / "html"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page(width: int, scheme: str, address: str, browser: Any) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    wrong: list[str] = []
    tab.on("console", lambda message: wrong.append(f"console: {message.text}") if message.type == "error" else None)
    tab.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    tab.on(
        "request", lambda request: wrong.append(f"elsewhere: {request.url}") if not own(request.url, address) else None
    )
    # Every page where there is least room; where there is more, the widest.
    every = [
        path.relative_to(DOCS).as_posix().removesuffix(".md") for path in pages() if path.parent.name != "reference"
    ]
    for page in every if (width, scheme) == (390, "light") else PAGES:
        tab.goto(f"{address}{page}.html", timeout=60_000)
        wide, seen = tab.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        if wide > seen:
            wrong.append(f"{page}: {wide} px wide in a window of {seen}")
        ground, ink = tab.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('article p')).color]"
        )
        if (brightness(ground) > brightness(ink)) != (scheme == "light"):
            wrong.append(f"{page}: {ink} on {ground} in the {scheme} scheme")
        if (width, scheme) in ((1280, "light"), (390, "dark")):
            wrong += (f"{page}: {complaint}" for complaint in inaccessible(tab))
    tab.close()
    assert not wrong, "\n".join(wrong)


def inaccessible(tab: Any) -> list[str]:
    """What an accessibility checker complains about."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(tab).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


def own(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))


def brightness(colour: str) -> float:
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3]))


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("address already in use", "Address already in use"),
        ("hangs", "My program hangs"),
        ("CLOSE_WAIT", "Sockets pile up in CLOSE_WAIT"),
        ("pandas", "A capture as a data frame"),
        ("docker", "In a container"),
        ("strace", "Instead of strace, tcpdump, nc and others"),
        ("connection reset by peer", "Connection reset by peer"),
        ("tcp_tw_reuse", "Address already in use"),
        ("bind only once", "Binding: which address and port a socket has"),
    ],
)
def test_the_search_finds_it_first(words: str, title: str, site: Path, browser: Any) -> None:
    """From a file, where no server is needed."""
    tab = browser.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto(f"{(site / 'search.html').as_uri()}?q={words.replace(' ', '+')}", timeout=60_000)
    first = tab.locator("#search-results li a").first
    first.wait_for(timeout=60_000)
    tab.wait_for_function("/found|match/.test(document.querySelector('.search-summary')?.innerText)", timeout=60_000)
    assert first.inner_text() == title
    assert not wrong
    tab.close()


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("connection reset by peer", "close() with unread data resets the connection"),
        ("EADDRINUSE", "The port is taken: another socket has it now"),
        ("SO_REUSEADDR", "Address already in use"),
    ],
)
def test_the_search_finds_it(words: str, title: str, address: str, browser: Any) -> None:
    tab = browser.new_page()
    tab.goto(f"{address}search.html?q={words.replace(' ', '+')}", timeout=60_000)
    tab.wait_for_selector("#search-results li a", timeout=60_000)
    tab.get_by_role("link", name=title).first.wait_for(timeout=60_000)
    tab.close()


def test_a_claim_has_an_address(address: str, browser: Any) -> None:
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(f"{address}lesson/udp-binding.html#u24", timeout=60_000)
    tab.wait_for_function(
        "Math.abs(document.getElementById('u24').getBoundingClientRect().top) < innerHeight / 2 && scrollY > 900",
        timeout=60_000,
    )
    assert tab.locator("section#u24 > h2").inner_text().startswith("U24 ")
    tab.close()


def test_a_ladder_keeps_its_columns(address: str, browser: Any) -> None:
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(f"{address}rule/{RULES[0]}.html", timeout=60_000)
    text = next(text for text in tab.locator("pre").all_inner_texts() if "ESTABLISHED" in text)
    assert "RST" in text
    # Lines end where the wire does: the rails stand at one place.
    heads = [line for line in text.splitlines() if "wire" in line and " ms " in line]
    assert heads
    box = tab.locator("pre", has_text="ESTABLISHED").first.evaluate("one => [one.scrollWidth, one.clientWidth]")
    assert box[0] <= box[1] + 1, "the ladder does not fit beside the navigation"
    tab.close()
