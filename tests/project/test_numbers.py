"""Numbers that the documents state are read from the code that decides them."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.support.repository import ROOT
from wallsocket.doctor import machine
from wallsocket.trace import places
from wallsocket.trace.run import DEFAULT_PAYLOAD

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUST = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


#: What is stated, as a pattern with the number in it, and the number.
STATED = [
    (r"CPython (3\.\d+) to 3\.\d+", dotted(machine._OLDEST_PYTHON)),
    (r"CPython 3\.\d+ to (3\.\d+)", dotted(machine._NEWEST_PYTHON)),
    (r"Linux (\d+\.\d+) or newer", dotted(machine._OLDEST_KERNEL)),
    (r"Python (3\.\d+) or newer", PROJECT["requires-python"].removeprefix(">=")),
    (r"Needed: Python (3\.\d+)", PROJECT["requires-python"].removeprefix(">=")),
    (r"Rust (\d+\.\d+) by rustup", RUST),
    (r"the newest (\d+)\b(?! rows)", str(places.KEPT_RECORDINGS)),
    (r"first (\d+) bytes of each call", str(DEFAULT_PAYLOAD)),
    (
        r"(\d+) causes, as people meet them",
        str(len(re.findall(r"^\| \d+ \|", (ROOT / "docs/causes.md").read_text(), re.MULTILINE))),
    ),
]


@pytest.mark.parametrize(("pattern", "number"), STATED, ids=[pattern for pattern, _ in STATED])
def test_a_number_is_the_codes(pattern: str, number: str) -> None:
    found = [
        (document.name, said)
        for document in DOCUMENTS
        for said in re.findall(pattern, document.read_text(encoding="utf-8"))
    ]
    assert found, "no document states it any more"
    assert [entry for entry in found if entry[1] != number] == []
