"""The picture of the README stands in a browser as in a terminal: each word at its column, no letter stretched."""

from __future__ import annotations

import html
import importlib.machinery
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.repository import ROOT

CHROMIUM = shutil.which("chromium")
#: Runs in the page: where each word begins and ends, and how wide its first letter is drawn.
MEASURE = """
document.querySelector('#found').textContent = JSON.stringify([...document.querySelectorAll('svg text')].map(text => {
  const last = text.getNumberOfChars() - 1;
  const letter = text.getExtentOfChar(0);
  return [text.textContent, text.getStartPositionOfChar(0).x, text.getEndPositionOfChar(last).x, letter.width];
}));
"""


def picture() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("picture", str(ROOT / "scripts/picture"))
    specification = importlib.util.spec_from_loader("picture", loader)
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    loader.exec_module(module)
    return module


def measured(svg: str, folder: Path) -> list[tuple[str, float, float, float]]:
    page = folder / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8>{svg}<pre id=found></pre><script>{MEASURE}</script>")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=300, check=True
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None
    return [tuple(entry) for entry in json.loads(html.unescape(found[1]))]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_words_stand_at_their_columns(tmp_path: Path) -> None:
    drawer = picture()
    lines = ["a  two   three    \x1b[31mfour\x1b[0m", "  \x1b[1mbold\x1b[22m and plain: ─ → · µs", "wide" * 20]
    found = measured(drawer.draw("\n".join(lines)), tmp_path)
    expected = [(column, word) for line in lines for column, word, _ in drawer.words(line)]
    assert [entry[0] for entry in found] == [word for _, word in expected]
    for (column, word), (_, start, end, letter) in zip(expected, found, strict=True):
        assert abs(start - (drawer.MARGIN + column * drawer.CELL_X)) < 0.5, word
        assert abs(end - (drawer.MARGIN + (column + len(word)) * drawer.CELL_X)) < 1, word
        # A letter of a font of 13 px is about 7.8 px wide; stretching would make it more.
        assert letter < 14, word


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_picture_that_is_shown(tmp_path: Path) -> None:
    drawer = picture()
    found = measured((ROOT / "docs/picture.svg").read_text(), tmp_path)
    assert len(found) > 50
    for word, start, end, _ in found:
        column = (start - drawer.MARGIN) / drawer.CELL_X
        assert abs(column - round(column)) < 0.1, word
        assert abs(end - start - len(word) * drawer.CELL_X) < 1, word
        assert end <= drawer.MARGIN + drawer.COLUMNS * drawer.CELL_X + 1, word
