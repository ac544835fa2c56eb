"""Whole folders of captures against tshark, value by value.

``WALLSOCKET_CAPTURES`` names folders, with a colon between them, such as checkouts of the test suites of tcpdump, Wireshark, Zeek,
Suricata, nDPI and Scapy; without it those of Debian's tcpdump source package are taken.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.against_tshark import ASKED, Difference, Row, by_tshark, compare, explained, profile
from wallsocket.diagnose import diagnose
from wallsocket.errors import WallsocketError
from wallsocket.trace import importing
from wallsocket.wire import read

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(12_000),
    pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark (apt install tshark)"),
]

_MAGIC = re.compile(rb"\xd4\xc3\xb2\xa1|\xa1\xb2\xc3\xd4|\x4d\x3c\xb2\xa1|\xa1\xb2\x3c\x4d|\x0a\x0d\x0d\x0a|\x1f\x8b")
#: Frames that are put together for one run of tshark, which takes longer to start than to read a small capture.
_TOGETHER_BYTES, _TOGETHER_FILES = 8 << 20, 150


def captures() -> list[Path]:
    named = os.environ.get("WALLSOCKET_CAPTURES", str(Path(__file__).parents[2] / "build/captures"))
    found = []
    for folder in named.split(":"):
        for path in Path(folder).rglob("*"):
            if path.is_file() and "cap" in "".join(path.suffixes):
                with path.open("rb") as file:
                    if _MAGIC.match(file.read(4)):
                        found.append(path)
    return sorted(found)


def batches(paths: list[Path]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for path in paths:
        length = path.stat().st_size
        if batch and (size + length > _TOGETHER_BYTES or len(batch) == _TOGETHER_FILES):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += length
    if batch:
        yield batch


def by_tshark_together(paths: list[Path], scratch: Path, configuration: Path) -> dict[Path, list[Row]]:
    """Rows of each file. Files with one interface go together; the others, and what mergecap refuses, alone."""
    counts: dict[Path, int] = {}
    together = []
    for path in paths:
        try:
            with read(path) as reader:
                counts[path] = sum(1 for _ in reader)
                if len(reader.interfaces) == 1 and counts[path]:
                    together.append(path)
        except WallsocketError:
            # Neither reads it: some are damaged on purpose.
            counts[path] = 0
    merged = scratch / "merged.pcapng"
    rows: dict[Path, list[Row]] = {}
    while len(together) > 1:
        command = ["mergecap", "-a", "-I", "none", "-w", str(merged), *map(str, together)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0 and not done.stderr:
            found = defaultdict(list)
            for row in by_tshark(merged, ASKED, configuration):
                found[row.interface].append(row)
            if all(len(found[number]) == counts[path] for number, path in enumerate(together)):
                rows = {path: found[number] for number, path in enumerate(together)}
            break
        refused = re.search(r'file "([^"]+)"', done.stderr, re.IGNORECASE)
        if refused is None or Path(refused[1]) not in together:
            break
        together.remove(Path(refused[1]))
    return {path: rows[path] if path in rows else list(by_tshark(path, ASKED, configuration)) for path in paths}


def test_every_value_is_that_of_tshark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = captures()
    if not paths:
        pytest.skip("no captures: scripts/captures, or WALLSOCKET_CAPTURES=FOLDER")
    configuration = profile(tmp_path / "profile")
    values = frames = files = 0
    reasons: Counter[str] = Counter()
    unexplained: list[Difference] = []
    uneven = []
    for batch in batches(paths):
        for path, rows in by_tshark_together(batch, tmp_path, configuration).items():
            try:
                count, differences, _ = compare(path, rows)
            except WallsocketError:
                assert not rows, path
                continue
            with read(path) as reader:
                if sum(1 for _ in reader) != len(rows):
                    # tshark shows custom blocks as frames, and guesses at another format of records.
                    uneven.append(path.name)
                    continue
            files += 1
            frames += len(rows)
            values += count
            for difference in differences:
                if (reason := explained(difference)) is None:
                    unexplained.append(difference)
                else:
                    reasons[reason] += 1
    with capsys.disabled():
        print(
            f"\n{files} captures, {frames} frames, {values} values; explained: {dict(reasons)}; other counts: {uneven}"
        )
    assert unexplained == [], f"{len(unexplained)} differences:\n" + "\n".join(map(str, unexplained[:60]))


def test_every_capture_is_explained_or_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    paths = captures()
    if not paths:
        pytest.skip("no captures: scripts/captures, or WALLSOCKET_CAPTURES=FOLDER")
    found: Counter[str] = Counter()
    refused = 0
    for path in paths:
        try:
            with importing.open_files((path,)) as recording:
                diagnosis = diagnose(recording)
        except WallsocketError as error:
            assert "\n" not in str(error), path
            refused += 1
            continue
        found.update(f"{finding.rule} ({finding.certainty})" for finding in diagnosis.findings)
    with capsys.disabled():
        print(f"\n{len(paths)} captures, {refused} refused; findings: {dict(found.most_common())}")
    assert refused < len(paths)
