"""The handout in a browser: readable by everybody, light and dark, on a screen and a telephone; nothing is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from wallsocket.lessons.catalogue import named
from wallsocket.lessons.lesson import Claim, Lesson
from wallsocket.lessons.play import play
from wallsocket.lessons.report import page
from wallsocket.lessons.text import picture_lines

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def handout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Claims with a choice, a typed answer, a ladder, a table, files in C and Go, and one that is not shown."""
    folder = tmp_path_factory.mktemp("handout")
    lessons, pictures = [], {}
    for name in ("S04", "A04", "A05", "U02", "U23"):
        claim = named(name)
        assert isinstance(claim, Claim)
        run = play(claim, recording=folder / "run.wsrec")
        if run.recording is not None:
            pictures[name] = "\n".join(picture_lines(run.recording, claim.show, width=110, colour=False))
        lesson = named(claim.lesson)
        assert isinstance(lesson, Lesson)
        lessons.append((lesson, [run]))
    path = folder / "handout.html"
    path.write_text(page(lessons, pictures, version="test"), encoding="utf-8")
    return path


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_everybody_on_any_screen(handout: Path, scheme: str) -> None:
    requests: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1000, "height": 800}, color_scheme=scheme)
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(handout.as_uri())
        violations = Axe().run(tab)
        assert violations.violations_count == 0, violations.generate_report()
        tab.locator("details summary").first.click()
        assert tab.locator("details p").first.is_visible()
        tab.set_viewport_size({"width": 390, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        # A value has the width of the page, below what it is.
        assert tab.evaluate("(e => e.clientWidth)(document.querySelector('.seen td.value'))") > 300
        # Who has it on paper cannot unfold anything.
        tab.emulate_media(media="print")
        answers = tab.locator("details p")
        assert all(answer.is_visible() for answer in answers.all())
        browser.close()
    assert requests == [handout.as_uri()]
