"""The links of the documents lead somewhere, and their words are spelt right."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs import pages
from tests.support.repository import ROOT
from wallsocket.diagnose import all_rules
from wallsocket.diagnose.search import errnos
from wallsocket.lessons.catalogue import all_lessons
from wallsocket.lessons.exercises import all_exercises

DOCUMENTS = [*pages.pages(), *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"))]
#: Pages of docs/rule/ and docs/lesson/, which scripts/rule-pages and scripts/lesson-pages write, with the anchors in them
#: that are meant to be linked.
GENERATED: dict[str, set[str]] = {
    **{f"rule/{rule.id}.md": set() for rule in all_rules()},
    **{f"lesson/{lesson.id}.md": {claim.id.lower() for claim in lesson.claims} for lesson in all_lessons()},
    "rule/index.md": set(),
    "rule/symptoms.md": set(),
    "rule/errors.md": {name.lower() for rule in all_rules() for name in errnos(rule)},
    "lesson/index.md": set(),
    "lesson/courses.md": set(),
    "lesson/tasks.md": {exercise.name for exercise in all_exercises()},
}
#: Beginnings of words, in examples and in output that was cut: hello, chooses.
RIGHT = "hel,choos"


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    """A page without its code blocks and code spans."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "x", text)


@cache
def anchors(page: Path) -> set[str]:
    """What myst_parser makes of a page's headings, down to the third level."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#{1,3} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def leads_nowhere(page: Path, link: str) -> str:
    parts = urlsplit(link)
    if parts.scheme:
        return "" if parts.scheme == "https" and "." in parts.netloc and " " not in link else "https://HOST/… is meant"
    target = (page.parent / parts.path).resolve() if parts.path else page
    if target.parent in (pages.DOCS / "rule", pages.DOCS / "lesson"):
        there = GENERATED.get(target.relative_to(pages.DOCS).as_posix())
        if there is None:
            return f"there is no such {target.parent.name}"
        return "" if parts.fragment in {"", *there} else f"{target.name} has no {parts.fragment}"
    if not target.exists():
        return "there is no such file"
    if parts.fragment and target.suffix == ".md" and parts.fragment not in anchors(target):
        return f"{target.name} has no heading of that name"
    return ""


@pytest.mark.parametrize("page", DOCUMENTS, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", text_of(page))
    wrong = [f"{link}: {why}" for link in links if (why := leads_nowhere(page, link))]
    assert not wrong, f"{name(page)}:\n" + "\n".join(wrong)


def test_wrong_links_are_found() -> None:
    page = pages.DOCS / "index.md"
    assert leads_nowhere(page, "rule/no-such-rule.md")
    assert leads_nowhere(page, "lesson/no-such-lesson.md")
    assert leads_nowhere(page, "lesson/udp-binding.md#t34")
    assert leads_nowhere(page, "nothing.md")
    assert leads_nowhere(page, "lab.md#no-such-heading")
    assert leads_nowhere(page, "http://example.org/")
    assert not leads_nowhere(page, "rule/close-wait.md")
    assert not leads_nowhere(page, "lesson/udp-binding.md#u24")
    assert not leads_nowhere(page, "lesson/tasks.md#uppercase-tcp")
    assert not leads_nowhere(page, "lab.md#in-tests")


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (pages.DOCS / "index.md").read_text()
    reference = (pages.DOCS / "reference/index.md").read_text()
    listed = set(re.findall(r"^([a-z0-9/-]+)$", index, re.MULTILINE))
    listed |= {f"reference/{one}" for one in re.findall(r"^([a-z]+)$", reference, re.MULTILINE)}
    there = {path.relative_to(pages.DOCS).as_posix().removesuffix(".md") for path in pages.pages()} - {"index"}
    assert there <= listed, f"not in a toctree of docs/index.md: {sorted(there - listed)}"
    assert {one for one in listed if not one.startswith(("rule/", "lesson/"))} <= there


def test_words_are_spelt_right() -> None:
    places = ["src/wallsocket/cli", "src/wallsocket/diagnose/rules", "changes"]
    words = [sys.executable, "-m", "codespell_lib", f"--ignore-words-list={RIGHT}", "--skip=*.pyc"]
    done = subprocess.run(
        [*words, *map(str, DOCUMENTS), *places], capture_output=True, text=True, cwd=ROOT, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_commands_in_the_text_exist() -> None:
    wrong = []
    for page in DOCUMENTS:
        text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for line in re.findall(r"`(wallsocket [a-z][^`\n]+)`", text):
            if re.search(r"[A-Z…]|\|", line):
                line = re.split(r" [A-Z…|]", line)[0]
            said = pages.misuse(line)
            wrong += [f"{name(page)}: {line}: {said}"] if said else []
    assert not wrong, "\n".join(wrong)
