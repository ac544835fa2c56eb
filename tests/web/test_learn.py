"""Lessons, the quiz, and the place to try things, in a real browser."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, expect
from playwright.sync_api import Page as Tab

from tests.web.conftest import PATIENCE_MS, Watched
from wallsocket.lessons import progress
from wallsocket.view import Feed
from wallsocket.web import Page, Workshop

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def tab(context: BrowserContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tab]:
    """The page without a recording, at its lessons, of somebody who begins; its console must stay silent."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with contextlib.ExitStack() as stack:
        feed = stack.enter_context(Feed(learns=True))
        workshop = stack.enter_context(Workshop(feed))
        page = stack.enter_context(Page(feed, workshop=workshop, screen="lessons"))
        watched = Watched(context)
        watched.tab.goto(page.url)
        yield watched.tab
        watched.tab.close()
        assert watched.said == []


def judge(tab: Tab, *schemes: Any) -> None:
    """Nothing for an accessibility checker to find, and nothing wider than the screen: wide and light, narrow and dark."""
    for scheme, width in (("dark", 390), ("light", 1280)):
        tab.set_viewport_size({"width": width, "height": 844})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, tab.url
        if scheme in schemes:
            tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = Axe().run(tab)
            assert found.violations_count == 0, f"{tab.url}: {found.generate_report()}"


def test_from_the_list_to_a_verdict_and_through_the_quiz(tab: Tab) -> None:
    expect(tab.get_by_role("heading", name="Lessons")).to_be_visible()
    # Without a recording there is nothing else to look at.
    expect(tab.get_by_role("navigation").get_by_role("link")).to_have_text(["Lessons", "Quiz", "Exercises", "Try it"])
    judge(tab, "light")
    tab.get_by_text("One double period").click()
    expect(tab.get_by_role("link", name="quiz: T34, T31, T35, T32")).to_be_visible()
    tab.get_by_role("link", name="The life of a UDP socket").click()
    expect(tab.get_by_text(re.compile("^[0-9]+ minutes"))).to_be_visible()
    judge(tab, "dark")
    tab.get_by_role("link", name="Begin").click()

    # A prediction, by keys alone.
    tab.get_by_role("radio", name=re.compile("^Nowhere")).focus()
    tab.keyboard.press("Space")
    tab.keyboard.press("Tab")
    tab.keyboard.type("it has <b>no</b> address")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    said = tab.locator(".said-line")
    expect(said).to_contain_text("not so")
    expect(said).to_contain_text("it has <b>no</b> address")
    expect(tab.get_by_role("region", name="What was seen")).to_contain_text("b'HELLO'")
    expect(tab.locator(".verdict-line")).to_contain_text("true")
    ladder = tab.get_by_role("listbox").get_by_role("option")
    expect(ladder.filter(has_text="recvfrom(65536").first).to_be_visible()
    ladder.filter(has_text="bind(").first.click()
    expect(tab.get_by_role("complementary")).to_contain_text("Line of code")
    judge(tab, "dark", "light")
    tab.keyboard.press("Escape")
    # What was run is in all other screens.
    tab.get_by_role("link", name="Whole screen").click()
    expect(tab.get_by_role("heading", name=re.compile("^udp"))).to_be_visible()
    tab.get_by_role("link", name="Lessons").click()
    card = tab.locator(".card").filter(has_text="The life of a UDP socket")
    expect(card).to_contain_text(re.compile("1 of [0-9]+ played"))
    # Another page remembers it, and where to go on.
    state = Path(os.environ["XDG_STATE_HOME"], "wallsocket", progress.FILE)
    assert state.read_text() == "U01\n"
    go_on = tab.get_by_role("link", name=re.compile("^Go on: U02"))
    expect(go_on).to_be_visible()
    judge(tab, "light")
    tab.get_by_role("link", name="The life of a UDP socket").click()
    expect(tab.locator(".claims li").first).to_contain_text("true")

    tab.evaluate("location.hash = '#/quiz/U01 U23'")
    tab.get_by_role("radio", name=re.compile("^To the address")).check()
    tab.get_by_role("button", name="That is my answer").click()
    expect(tab.locator(".said-line")).to_contain_text("right")
    tab.get_by_role("button", name="Next question").click()
    tab.get_by_label("Your answer").fill("1")
    judge(tab, "dark")
    tab.get_by_role("button", name="That is my answer").click()
    expect(tab.locator(".said-line")).to_contain_text("not so")
    expect(tab.locator("details.programs")).to_contain_text("import socket")
    expect(tab.get_by_role("region", name="What was seen")).to_contain_text("ports of five sockets")
    tab.get_by_role("button", name="How did it go?").click()
    expect(tab.locator(".score")).to_have_text("1 of 2 right.")
    assert state.read_text() == "U01\n"


PART = """\
import socket, sys
listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    text = connection.recv(1024)
    connection.sendall(text.upper())
    connection.close()
"""


def test_a_program_is_written_checked_and_mended(tab: Tab) -> None:
    tab.get_by_role("link", name="Exercises").click()
    expect(tab.get_by_role("heading", name="Exercises", exact=True)).to_be_visible()
    judge(tab, "light")
    tab.get_by_role("link", name="capital letters by a stream").click()
    expect(tab.get_by_text("It runs on this machine")).to_contain_text("no sandbox")
    program = tab.get_by_label("Your program")
    # By keys alone: a new line is indented as the one before, and Tab leads on.
    program.focus()
    tab.keyboard.type("while True:\nif")
    expect(program).to_have_value("while True:\n    if")
    judge(tab, "dark")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.locator(".verdict-line")).to_have_text("could not run")
    expect(tab.locator(".problem-line")).to_contain_text("uppercase-tcp.py:2: SyntaxError")

    program.fill(PART)
    tab.get_by_role("button", name="Run and check").click()
    expect(tab.locator(".verdict-line")).to_contain_text(re.compile("wrong.*of 8 scenarios passed"))
    expect(tab.get_by_role("heading", name=re.compile("^Likely cause: one recv"))).to_be_visible()
    tab.get_by_role("button", name="line 5").click()
    assert tab.evaluate("(e => e.value.slice(e.selectionStart, e.selectionEnd))(document.activeElement)") == (
        "    text = connection.recv(1024)"
    )
    # The conversation that went wrong.
    ladder = tab.get_by_role("listbox").get_by_role("option")
    expect(ladder.filter(has_text="recv(1024)").first).to_be_visible()
    judge(tab, "dark", "light")
    tab.get_by_role("link", name="All exercises").click()
    expect(tab.locator(".card").filter(has_text="uppercase-tcp")).to_contain_text("wrong")
    # What was written is still there.
    tab.get_by_role("link", name="capital letters by a stream").click()
    expect(program).to_have_value(PART)


def test_what_knobs_do_is_seen_in_the_ladder(tab: Tab) -> None:
    tab.get_by_role("link", name="Try it").click()
    tab.get_by_label("Client's host").fill("laptop")
    tab.get_by_label("Pause").fill("200")
    tab.get_by_role("button", name="Start").click()
    expect(tab.get_by_role("img", name=re.compile("^laptop 10.0.1.1 and server"))).to_be_visible()
    rows = tab.get_by_role("listbox").get_by_role("option")
    expect(rows.filter(has_text="SYN ACK").first).to_be_visible()
    loss = tab.get_by_label("Loss")
    loss.focus()
    for _ in range(6):
        tab.keyboard.press("PageUp")
    expect(loss).to_have_attribute("aria-valuetext", re.compile(r"^\d\d %$"))
    # Sooner or later a segment is lost of the connection that is shown, which is always the newest.
    expect(tab.get_by_role("img", name=re.compile("loses"))).to_contain_text(re.compile(r"\d lost"))
    expect(tab.locator(".row .arrow.lost, .row .arrow.warning").first).to_be_visible()
    tab.get_by_role("button", name="Cut the link").click()
    expect(tab.get_by_role("button", name="Cut the link", pressed=True)).to_be_visible()
    judge(tab, "dark", "light")
    tab.get_by_role("button", name="Stop").click()
    expect(tab.get_by_role("status").filter(has_text="It was stopped.")).to_be_visible()
    # What was recorded stays.
    expect(rows.first).to_be_visible()
