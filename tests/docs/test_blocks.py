"""Every code block of docs/ runs as it stands, or says in a comment why it does not."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.docs import pages
from tests.support.repository import ROOT

#: The languages that a block may have; what is done with each stands in pages.py.
LANGUAGES = {"", "console", "json", "python", "sh", "text", "toml", "yaml"}
PAGES = [page for page in pages.pages() if page.name not in pages.ELSEWHERE]
RUN = [
    page
    for page in PAGES
    if any(block.language in ("console", "python") and block.mark != "not run" for block in pages.blocks(page))
]


@cache
def lab_works() -> bool:
    return subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True).returncode == 0


def name(page: Path) -> str:
    return page.relative_to(pages.DOCS).as_posix()


@pytest.mark.parametrize("page", RUN, ids=name)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    if not lab_works() and "lab" in page.read_text():
        pytest.skip("no namespaces here")
    wrong = [text for done in pages.run(page, tmp_path) if (text := pages.complaint(done))]
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("page", pages.pages(), ids=name)
def test_what_is_not_run_can_be_read(page: Path) -> None:
    for block in pages.blocks(page):
        assert block.language in LANGUAGES, f"{block}: blocks are {', '.join(sorted(LANGUAGES))}"
        assert not pages.unreadable(block), f"{block}: {pages.unreadable(block)}"
        if block.language in ("", "sh", "text", "console"):
            for line in pages.command_lines(block):
                assert not pages.misuse(line), f"{block}: {line}: {pages.misuse(line)}"


def test_blocks_that_are_not_run_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    left_out = [block for page in pages.pages() for block in pages.blocks(page) if block.mark == "not run"]
    with capsys.disabled():
        print(*(f"\nnot run: {block}: {block.said}" for block in left_out), sep="")
    assert all(len(block.said.split()) >= 3 for block in left_out)
    assert not [block for block in left_out if block.language not in ("console", "python")]
    assert len(left_out) <= 12


@pytest.mark.parametrize("page", sorted(pages.ELSEWHERE))
def test_the_other_pages_have_a_test_of_their_own(page: str) -> None:
    test = ROOT / pages.ELSEWHERE[page]
    assert page in test.read_text()


# -- The tool itself


def block(text: str, language: str = "console") -> pages.Block:
    return pages.Block(pages.DOCS / "x.md", 1, language, text)


def test_a_console_block_is_commands_and_what_they_print() -> None:
    commands = block("$ one \\\n  two\nout\n\n$ three\n").commands()
    assert [(command.text, command.shown) for command in commands] == [("one \\\n  two", ["out", ""]), ("three", [])]


@pytest.mark.parametrize(
    ("shown", "printed", "missing"),
    [
        (["pid 12 waits 3 s"], "pid 4711 waits 2.5 ms\n", ""),
        (["first", "…", "last"], "first\nmiddle\nlast\n", ""),
        (["last", "…", "first"], "first\nmiddle\nlast\n", "first"),
        (["a ─── b"], "a ─ b", ""),
        (["never"], "ever", "never"),
    ],
)
def test_numbers_and_spaces_may_differ(shown: list[str], printed: str, missing: str) -> None:
    assert pages.not_printed(shown, printed) == missing


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("wallsocket explain --lab -- ./server --anything", ""),
        ("wallsocket rule play linger-zero --healthy", ""),
        ("wallsocket explain --laboratory", "no option --laboratory"),
        ("wallsocket exlpain", "no command"),
        ("wallsocket lab exec a -- ls", ""),
    ],
)
def test_options_that_do_not_exist_are_found(line: str, wrong: str) -> None:
    said = pages.misuse(line)
    assert wrong in said
    assert bool(said) == bool(wrong)
