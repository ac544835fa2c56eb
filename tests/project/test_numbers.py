"""Numbers that the documents state are read from the code that decides them."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.support.repository import ROOT
from wallsocket.doctor import machine
from wallsocket.endpoints import reasons
from wallsocket.trace import places
from wallsocket.trace.run import DEFAULT_PAYLOAD

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUST = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def rust(file: str, name: str) -> int:
    """The value of a constant."""
    stated = re.search(rf"^(?:pub )?const {name}: \w+ = ([\d_]+);", (ROOT / file).read_text(), re.MULTILINE)
    assert stated is not None, f"{file} has no {name}"
    return int(stated[1])


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
    (r"at most (\d+) GB", f"{places.KEPT_BYTES / 1e9:.0f}"),
    (r"closer than (\d+) µs", f"{rust('crates/wallsocket-trace/src/tracer/near.rs', 'QUICK_NS') / 1000:.0f}"),
    (r"blocking endpoint waits at most (\d+) ms for it", f"{reasons.DEADLINE_S * 1000:.0f}"),
    (r"one of an event loop (\d+) ms", f"{reasons.LOOP_DEADLINE_S * 1000:.0f}"),
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
