"""The page in a real browser: each screen, keys, live news, hostile names and bytes, and what an accessibility checker says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, expect
from playwright.sync_api import Page as Tab

from tests.view.test_compare import run
from tests.web.conftest import PATIENCE_MS, PROGRAMS, Watched, until
from wallsocket.view import Feed, Snapshot, ask
from wallsocket.view.overview import FindingCard
from wallsocket.web import Page

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def finding(service: Path) -> FindingCard:
    """The finding about the connection that is looked at."""
    with Snapshot.open(service) as snapshot:
        found: Any = ask(snapshot, "overview", {})
        return next(card for card in found.findings if card.rule == "close-with-unread-data")


def rows(tab: Tab, **which: Any) -> Locator:
    """The rows of a ladder that are on the screen."""
    return tab.get_by_role("listbox").get_by_role("option", **which)


def test_overview_begins_with_the_findings(page: Page, watched: Watched, finding: FindingCard) -> None:
    tab = watched.show(page)
    expect(tab.locator(".finding").filter(has_text=finding.title)).to_have_class("finding error effect")
    first = tab.locator(".finding").first
    expect(first).to_contain_text("service.py:")
    expect(tab.locator(".card").filter(has_text=f"socket {finding.socket}")).to_contain_text("64513 bytes unread")
    expect(tab.locator(".card").first).to_have_class("card found")
    expect(tab.get_by_role("region", name="Table of programs")).to_contain_text("service.py")
    tab.get_by_role("searchbox", name="Search sockets").fill("listener unix")
    expect(tab.locator(".card")).to_have_count(1)


def test_ladder_has_four_rails_and_one_selection(page: Page, watched: Watched, finding: FindingCard) -> None:
    tab = watched.show(page, "ladder")
    tab.locator(".card.found").filter(has_text="64513 bytes unread").get_by_role("link").click()
    row = rows(tab).filter(has_text="send(").first
    expect(row).to_contain_text("line ")
    expect(row.locator(".kernel")).to_have_count(2)
    row.locator(".said").first.click()
    expect(rows(tab, selected=True)).to_have_count(1)
    detail = tab.get_by_role("complementary", name="Details of what is selected")
    expect(detail).to_contain_text("Line of code")
    expect(detail).to_contain_text("service.py")
    # The same row is selected after a look at another screen.
    tab.get_by_role("link", name="Overview").click()
    expect(detail).to_contain_text("Line of code")
    tab.go_back()
    expect(rows(tab, selected=True)).to_have_count(1)
    tab.keyboard.press("Escape")
    expect(detail).to_be_hidden()


def test_segments_can_be_picked_and_read_in_hexadecimal(page: Page, watched: Watched, finding: FindingCard) -> None:
    tab = watched.show(page, f"ladder/{finding.conversation}")
    tab.locator(".arrow").filter(has_text="bytes").first.click()
    detail = tab.get_by_role("complementary")
    expect(detail).to_contain_text("Frame")
    expect(detail.locator(".payload")).to_contain_text("AAAA")
    detail.get_by_role("button", name="Hex").click()
    expect(detail.locator(".payload")).to_contain_text("0000  41 41 41 41")


def test_fields_and_bytes_of_a_frame_show_each_other(page: Page, watched: Watched, finding: FindingCard) -> None:
    tab = watched.show(page, f"ladder/{finding.conversation}")
    tab.locator(".arrow").filter(has_text="bytes").first.click()
    frame = tab.get_by_role("complementary").locator(".frame")
    frame.get_by_role("button", name="tcp.window").click()
    expect(frame.locator(".byte.marked")).to_have_count(2)
    expect(frame.get_by_role("button", pressed=True)).to_contain_text("tcp.window")
    tab.keyboard.press("ArrowDown")
    expect(frame.get_by_role("button", pressed=True)).to_contain_text("tcp.checksum")
    # The first byte is of the address that the frame goes to.
    frame.locator(".byte").first.hover()
    expect(frame.get_by_role("button", pressed=True)).to_contain_text("ethernet.destination")
    expect(frame.locator(".byte.marked")).to_have_count(6)


def test_search_filter_and_zoom(page: Page, watched: Watched, finding: FindingCard) -> None:
    tab = watched.show(page, f"ladder/{finding.conversation}")
    found = rows(tab)
    expect(found.first).to_be_visible()
    all_rows = found.count()
    tab.get_by_role("searchbox").fill("recv(1024)")
    expect(found.first).to_contain_text("recv(1024)")
    assert found.count() < all_rows
    tab.get_by_role("searchbox").fill("")
    tab.get_by_role("combobox", name="Show only").select_option("failures")
    expect(found.filter(has_text="RST")).to_have_count(1)
    tab.get_by_role("combobox", name="Show only").select_option("everything")
    tab.get_by_role("button", name="Zoom out").click()
    expect(found.first).to_contain_text("segments")
    found.first.click()
    expect(found.first).to_contain_text("socket()")


def test_everything_by_keys_alone(page: Page, watched: Watched, finding: FindingCard) -> None:
    tab = watched.show(page)
    tab.keyboard.press("3")
    expect(tab.get_by_role("heading", name="Pick a conversation")).to_be_visible()
    tab.keyboard.press("/")
    expect(tab.get_by_role("searchbox")).to_be_focused()
    watched.go(f"ladder/{finding.conversation}")
    ladder = tab.get_by_role("listbox")
    expect(rows(tab).first).to_be_visible()
    ladder.focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    expect(rows(tab, selected=True)).to_have_attribute("aria-posinset", "2")
    active = ladder.get_attribute("aria-activedescendant")
    assert tab.locator(f"#{active}").get_attribute("aria-posinset") == "2"
    tab.keyboard.press("End")
    expect(tab.locator(".row.active")).to_have_attribute(
        "aria-posinset", rows(tab).last.get_attribute("aria-setsize") or ""
    )
    tab.keyboard.press("-")
    expect(tab.get_by_role("button", name="Zoom in")).to_be_enabled()
    tab.keyboard.press("?")
    expect(tab.get_by_role("dialog", name="Keys")).to_be_visible()
    tab.keyboard.press("Escape")


def test_a_proof_leads_into_the_ladder(page: Page, watched: Watched, finding: FindingCard) -> None:
    tab = watched.show(page)
    tab.get_by_role("link", name=finding.title).click()
    expect(tab.get_by_role("heading", name=finding.title)).to_be_visible()
    expect(tab.locator(".why")).to_contain_text("64513 bytes had not been read")
    expect(tab.locator(".source .here")).to_contain_text("with connection:")
    expect(tab.get_by_role("link", name="one recv() was taken for the whole message")).to_be_visible()
    tab.locator(".proof-row").filter(has_text="RST from").click()
    expect(rows(tab, selected=True)).to_contain_text("RST")
    expect(tab.get_by_role("complementary")).to_contain_text("Flags [R.]")


def test_the_map_leads_to_what_is_wrong(page: Page, watched: Watched, finding: FindingCard) -> None:
    tab = watched.show(page, "topology")
    expect(tab.locator(".place.wrong")).to_contain_text("service.py")
    expect(tab.locator(".place.outside")).to_contain_text("127.0.0.1")
    tab.get_by_role("link", name=re.compile("finding")).first.click()
    expect(rows(tab).first).to_be_visible()


def test_states_show_the_path_that_was_taken(page: Page, watched: Watched, finding: FindingCard) -> None:
    tab = watched.show(page, f"states/{finding.conversation}")
    graph = tab.get_by_role("img", name=f"State graph of socket {finding.socket}")
    # Which states were seen depends on who was faster.
    expect(graph.locator(".node.visited").filter(has_text="ESTABLISHED")).to_have_count(1)
    expect(graph.locator(".edge.taken")).not_to_have_count(0)
    path = tab.get_by_role("region", name=f"Path of socket {finding.socket}")
    expect(path).to_contain_text("CLOSE")
    path.get_by_role("button").first.click()
    expect(tab.get_by_role("complementary")).to_contain_text("accept4")


@pytest.mark.parametrize(
    ("screen", "said"),
    [
        ("sequence", "acknowledged|bytes"),
        ("river", "send buffer|flight|on the way"),
        ("gauges", "queue|room|window|trip|timeout"),
    ],
)
def test_graphs_are_operated_by_keys(
    page: Page, watched: Watched, finding: FindingCard, screen: str, said: str
) -> None:
    tab = watched.show(page, f"{screen}/{finding.conversation}")
    graph = tab.locator(".plot").first
    word = tab.locator(".plot-said").first
    expect(graph).to_be_visible()
    graph.focus()
    tab.wait_for_function(
        "() => { const c = document.querySelector('.plot canvas'); if (!c.width) return false;"
        # Read from a copy: Chromium warns of a page that reads its canvas often.
        " const copy = new OffscreenCanvas(c.width, c.height).getContext('2d', { willReadFrequently: true });"
        " copy.drawImage(c, 0, 0);"
        " return new Uint32Array(copy.getImageData(0, 0, c.width, c.height).data.buffer).some(Boolean) }"
    )
    tab.keyboard.press("n")
    expect(word).to_have_text(re.compile(rf" ms: .*({said})"))
    first = word.inner_text()
    tab.keyboard.press("n")
    expect(word).not_to_have_text(first)
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("complementary")).to_be_visible()
    tab.keyboard.press("+")
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("0")
    # What is selected there is selected in the ladder, too.
    if screen != "gauges":
        tab.get_by_role("link", name="Ladder").click()
        expect(tab.get_by_role("complementary")).to_be_visible()


def test_hostile_names_and_bytes_are_shown_and_do_nothing(page: Page, watched: Watched, service: Path) -> None:
    tab = watched.show(page)
    expect(tab.get_by_role("region", name="Table of programs")).to_contain_text("<script>alert(1)</script>")
    expect(tab.get_by_role("region", name="Table of programs")).to_contain_text("a\\u202eb\\x1b[2J")
    expect(tab.locator(".cards")).to_contain_text("<b onclick=alert(1)>")
    with Snapshot.open(service) as snapshot:
        calls = [
            call for call in snapshot.recording.calls()
            if call.payload and (b"<img" in call.payload or call.payload.startswith(b"AAAA"))
        ]  # fmt: skip
    assert len(calls) >= 3
    for call in calls:
        watched.go(f"overview?row=call:{call.id}")
        payload = tab.get_by_role("complementary").locator(".payload")
        expect(payload).to_contain_text("AAAA" if call.payload and call.payload[:4] == b"AAAA" else "<img")
        text = payload.inner_text()
        assert not any((ord(letter) < 32 and letter != "\n") or ord(letter) > 126 for letter in text)
    obeyed = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
    with_controls = tab.evaluate(
        """obeyed => [...document.querySelectorAll("body *")].flatMap((one) => [...one.childNodes])
          .filter((node) => node.nodeType === 3 && new RegExp(obeyed).test(node.data)).length""",
        obeyed,
    )
    assert with_controls == 0
    assert tab.title() == "Overview · Wallsocket"
    assert tab.locator("main script, main img, main b[onclick]").count() == 0


def sockets(feed: Feed) -> list[Any]:
    found: Any = feed.ask("overview", {})
    return found.cards  # type: ignore[no-any-return]


def test_page_follows_a_recording_that_grows(tmp_path: Path, watched: Watched) -> None:
    path = tmp_path / "live.wsrec"
    with subprocess.Popen(
        [sys.executable, "-m", "wallsocket", "trace", "-q", "-o", str(path), "--", sys.executable, str(PROGRAMS / "ticking.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as target:  # fmt: skip
        assert target.stdin is not None
        assert target.stdout is not None
        try:
            target.stdin.write("go\n")
            target.stdin.flush()
            assert target.stdout.readline() == "tick 0\n"
            with Feed(path) as feed, Page(feed) as page:
                until(feed, lambda status: status.generation > 0 and len(sockets(feed)) == 2)
                tab = watched.show(page, "ladder/1-2")
                expect(rows(tab).filter(has_text="send")).to_have_count(1)
                expect(tab.get_by_role("banner")).to_contain_text("live")
                target.stdin.write("go\n")
                target.stdin.flush()
                assert target.stdout.readline() == "tick 1\n"
                expect(rows(tab).filter(has_text="send")).to_have_count(2)
                target.stdin.close()
                assert target.wait(60) == 0
                expect(tab.get_by_role("banner")).not_to_contain_text("live")
                expect(rows(tab).filter(has_text="close()").first).to_be_visible()
        finally:
            target.kill()


def test_two_runs_side_by_side(tmp_path: Path, watched: Watched) -> None:
    good, bad = run(tmp_path / "good.wsrec", reads=2), run(tmp_path / "bad.wsrec", reads=1)
    with Feed(bad, good=good) as feed, Page(feed) as page:
        until(feed, lambda status: status.stage == "ready")
        tab = watched.show(page)
        tab.get_by_role("link", name="Compare").click()
        parting = tab.locator(".parting").filter(has_text="calls:")
        expect(parting).to_contain_text("EPIPE")
        parting.get_by_role("link").click()
        expect(tab.get_by_role("listbox", name="Ladder of the good run").get_by_role("option").first).to_contain_text(
            "socket()"
        )
        bad_run = tab.get_by_role("listbox", name="Ladder of the bad run")
        expect(bad_run.get_by_role("option", selected=True)).to_contain_text("EPIPE")
        schemes: list[tuple[int, Any]] = [(1280, "light"), (390, "dark")]
        for width, scheme in schemes:
            tab.set_viewport_size({"width": width, "height": 844})
            tab.emulate_media(color_scheme=scheme)
            found = Axe().run(tab)
            assert found.violations_count == 0, found.generate_report()
            assert tab.evaluate("document.documentElement.scrollWidth") <= width


#: Each screen with what must be there before it is judged.
SCREENS: dict[str, str] = {
    "overview": ".finding",
    "ladder": ".card",
    "ladder/KEY": ".row .said",
    "ladder/KEY?level=1": ".row .sums",
    "ladder/KEY?row=packet:3": "aside .facts",
    "finding/1": ".proof-row",
    "topology": "svg.map .place",
    "states/KEY": "svg.states",
    "sequence/KEY": ".plot canvas",
    "river/KEY": ".plot canvas",
    "gauges/KEY": ".plot canvas",
}


def test_accessibility_and_width(page: Page, watched: Watched, finding: FindingCard) -> None:
    tab = watched.show(page)
    # Contrast depends on the scheme, all else on the width: two of the four pairs have both of each.
    schemes: list[tuple[int, Any]] = [(1280, "light"), (390, "dark")]
    for route, there in SCREENS.items():
        watched.go(route.replace("KEY", finding.conversation or ""))
        tab.wait_for_selector(there)
        for width, scheme in schemes:
            tab.emulate_media(color_scheme=scheme)
            tab.set_viewport_size({"width": width, "height": 844})
            found = Axe().run(tab)
            assert found.violations_count == 0, f"{route}: {found.generate_report()}"
            # Nothing makes the page wider than the screen.
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, route


def test_a_lost_server_is_told(service: Path, context: Any) -> None:
    watched = Watched(context)
    with Feed(service) as feed, Page(feed) as page:
        tab = watched.show(page)
    expect(tab.get_by_role("banner")).to_contain_text("not connected")
    expect(tab.locator(".finding").first).to_be_visible()
