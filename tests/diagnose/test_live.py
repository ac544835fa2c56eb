"""What is told while a trace runs is what ``explain`` says of the recording afterwards, however the rows arrived."""

from __future__ import annotations

import itertools
import random
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.diagnose.test_examples import lab_works, name, programs
from wallsocket.diagnose import diagnose, rule_of
from wallsocket.diagnose.finding import Finding
from wallsocket.diagnose.live import Watcher
from wallsocket.diagnose.play import Stage
from wallsocket.trace.recording import Recording
from wallsocket.trace.run import run

Batch = dict[str, list[tuple[Any, ...]]]

#: Runs a program, and then talks with itself until what that one did is old enough to be told.
FRAME = """
import socket, subprocess, sys, time
subprocess.run([sys.executable, sys.argv[1]])
a, b = socket.socketpair()
end = time.monotonic() + 1.2
while time.monotonic() < end:
    a.send(b"x")
    b.recv(1)
    time.sleep(0.02)
"""
#: What ``explain`` adds where several findings have become one.
OTHERS = re.compile(r" The same at \d+ other times? in this recording\.$")
#: Of those that are told of a connection and of a socket's options, one each.
SAMPLE = ("one-recv-per-message", "option-too-late")


def recorded(path: Path, folder: Path) -> tuple[list[Batch], list[Finding]]:
    """The rows as they came, and what ``explain`` says in the end."""
    batches: list[Batch] = []
    words = [sys.executable, "-c", FRAME, str(path)]
    run(words, output=folder / "r.wsrec", lab=lab_works(), live=lambda rows: batches.append(dict(rows)))
    with Recording.open(folder / "r.wsrec") as recording:
        return batches, list(diagnose(recording).findings)


def joined(batches: Iterable[Batch]) -> Batch:
    """Several that come as one, as when the recorder is late."""
    all_rows: Batch = {}
    for batch in batches:
        for table, rows in batch.items():
            all_rows.setdefault(table, []).extend(rows)
    return all_rows


def cuttings(batches: list[Batch]) -> Iterator[list[Batch]]:
    yield batches
    yield [joined(batches)]
    for seed in range(3):
        choice = random.Random(seed)
        at = [0, *sorted(choice.sample(range(len(batches)), len(batches) // 2)), len(batches)]
        yield [joined(batches[begin:end]) for begin, end in itertools.pairwise(at)]


def told(batches: Iterable[Batch]) -> list[Finding]:
    watcher = Watcher({"calls": "yes", "kernel": "yes", "lab": "yes" if lab_works() else "no"})
    return [finding for batch in batches for finding in watcher.take(batch)]


def said(finding: Finding) -> tuple[Any, ...]:
    """All that must not differ: of findings that have become one, what they have in common."""
    of_line = (finding.rule, finding.severity, finding.certainty, finding.title, finding.file, finding.line)
    return of_line if OTHERS.search(finding.why) else (*of_line, finding.why, finding.process, finding.socket)


def assert_agreement(path: Path, folder: Path) -> int:
    """Compare; how many findings were told."""
    batches, findings = recorded(path, folder)
    in_the_end = {said(finding) for finding in findings}
    count = 0
    for number, cutting in enumerate(cuttings(batches)):
        for finding in told(cutting):
            alone = said(finding)
            assert alone in in_the_end or alone[:6] in in_the_end, (number, alone, in_the_end)
            count += number == 0
    return count


@pytest.mark.parametrize("rule", SAMPLE)
def test_what_is_told_early_is_said_in_the_end(rule: str, tmp_path: Path) -> None:
    (path,) = (path for path in programs("broken") if path.parent.name == rule and path.suffix == ".py")
    assert assert_agreement(path, tmp_path) > 0


def test_what_a_more_specific_rule_explains_is_not_told_early(tmp_path: Path) -> None:
    """The client does not read, and closes: that is said, not that it closed with data unread."""
    (path,) = (path for path in programs("broken") if path.parent.name == "peer-does-not-read" and path.suffix == ".py")
    assert assert_agreement(path, tmp_path) == 0


def everywhere() -> list[Path]:
    """Programs of the rules that tell early, and every third of the others."""
    early, late = [], []
    for path in programs("broken", "variant", "healthy"):
        rule = rule_of(path.parent.name)
        # Of the others some wait until somebody has looked at them, or are seen by their packets alone.
        traced = rule is not None and rule.pictures != "only" and rule.subject != "flow"
        if path.suffix == ".py" and rule is not None and traced and not Stage(path.parent).lab:
            (early if rule.live else late).append(path)
    return early + late[::3]


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", everywhere(), ids=name)
def test_the_programs_of_the_rules(path: Path, tmp_path: Path) -> None:
    assert_agreement(path, tmp_path)
