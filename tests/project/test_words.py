"""The repository speaks of the project alone: no machine it was built on, no registry's host, no number of a ticket."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import repository

FORBIDDEN = {
    "a path of one machine": r"(?<![\w.])/(?:work|root|farm)/|/tmp/bash|\.library\b",
    "a registry's host": r"pypi\.org|pythonhosted|crates\.io\b|deb\.debian|static\.rust-lang|proxy\.golang",
    "a paper that is not in the repository": (
        r"\b(?:DESIGN|STYLE|TRAPS|BASELINE|DEVELOPERS|BRIEF|toolkit|claims|xray)\.md\b|lecture\.txt|DEMO\.txt|\bshared/"
    ),
    "the number of a ticket": r"(?<!UAX )(?<![\w&/#`'\"(\[])#\d{1,4}\b(?![0-9a-fA-F])|\bissue \d",
    "a promise instead of the thing": r"\b(?:TODO|FIXME|XXX)\b",
}
# Files written by tools: their content is not ours to choose.
GENERATED = {"Cargo.lock", "requirements-dev.txt", "requirements-docs.txt", "fuzz/Cargo.lock"}
TICKETS_ONLY_IN = {".md", ".py", ".rs", ".sh", ".toml", ".txt"}


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_file_names(kind: str) -> None:
    pattern = re.compile(FORBIDDEN[kind])
    found = []
    for path in repository.files():
        name = path.relative_to(repository.ROOT).as_posix()
        if (
            path == Path(__file__)
            or name in GENERATED
            or (kind == "the number of a ticket" and path.suffix not in TICKETS_ONLY_IN)
        ):
            continue
        for number, line in enumerate(_text(path).splitlines(), 1):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line.strip()[:120]}")
    assert not found, f"names {kind}:\n" + "\n".join(found)


def test_patterns_find_what_they_are_for() -> None:
    examples = {
        "a path of one machine": "see /work/main/x",
        "a registry's host": "https://pypi.org/simple",
        "a paper that is not in the repository": "as TRAPS.md says",
        "the number of a ticket": "fixes #12 at last",
        "a promise instead of the thing": "# TODO later",
    }
    for kind, text in examples.items():
        assert re.search(FORBIDDEN[kind], text), kind
    assert not re.search(FORBIDDEN["the number of a ticket"], "colour #123456, C's #include, (#7")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""
