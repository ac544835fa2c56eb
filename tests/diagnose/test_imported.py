"""What people have from other machines tells the same cause, where the layer suffices; tests/soak/test_imports.py plays all."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from wallsocket.diagnose.play import EXAMPLES
from wallsocket.errors import UsageError

from ..support.imports import CAPTURES, LOGS, TOGETHER, UNTOLD, findings, played, told_by
from ..support.repository import ROOT
from .test_examples import lab_works

#: Examples that are played here: every kind of call, and every kind of proof on the wire.
SAMPLE = [
    "close-with-unread-data/variant.c",
    "closed-descriptor-used/broken.py",
    "connection-shared-by-fork/broken.py",
    "datagram-truncated/variant.c",
    "firewall-refuses/broken.py",
    "glued-messages/broken.py",
    "host-unreachable/broken.py",
    "keep-alive-race/broken.py",
    "linger-zero/broken.py",
    "nagle-delayed-ack/broken.py",
    "nobody-listens/variant.py",
    "path-mtu-black-hole/broken.py",
    "protocols-differ/broken.py",
    "no-time-limit-for-answer/variant.c",
    "slow-reader/variant.c",
    "standard-descriptor/broken.py",
    "threads-share-stream/broken.py",
    "write-after-peer-closed/broken.py",
]
HEALTHY = [
    "connection-shared-by-fork/healthy.py",
    "keep-alive-race/healthy.py",
    "nagle-delayed-ack/healthy.py",
    "slow-reader/healthy.py",
    "threads-share-stream/healthy.py",
]

plays = [
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace (apt install strace)"),
    pytest.mark.skipif(not lab_works(), reason="no namespaces here"),
]


def played_or_skipped(name: str, folder: Path) -> tuple[Path, Path]:
    try:
        return played(EXAMPLES / name, folder)
    except UsageError as error:
        pytest.skip(str(error))


def with_marks(names: list[str]) -> list[Any]:
    return [pytest.param(name, marks=plays) for name in names]


@pytest.mark.parametrize("name", with_marks(SAMPLE))
def test_a_log_and_a_capture_tell_the_cause(name: str, tmp_path: Path) -> None:
    log, capture = played_or_skipped(name, tmp_path)
    rule = name.partition("/")[0]
    assert name in LOGS | CAPTURES | TOGETHER
    for paths, sufficient in (([log], LOGS), ([capture], CAPTURES), ([capture, log], TOGETHER)):
        if name in sufficient:
            found = findings(*paths)
            assert [finding.rule for finding in found][:1] == [rule], (paths, found)


@pytest.mark.parametrize("name", with_marks(HEALTHY))
def test_nothing_is_said_of_a_healthy_one(name: str, tmp_path: Path) -> None:
    log, capture = played_or_skipped(name, tmp_path)
    assert findings(log) == ()
    assert findings(capture) == ()
    assert findings(capture, log) == ()


def test_the_page_lists_what_suffices_for_which_rule() -> None:
    page = (ROOT / "docs/import.md").read_text()
    listed = {
        words[1].strip(): re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", words[2])
        for line in page.partition("## Which cause by which")[2].splitlines()
        if len(words := line.split("|")) == 4 and "`" in words[2]
    }
    told, untold = told_by(), {reason: rules.split() for reason, rules in UNTOLD.items()}
    assert listed == told | untold
    assert not {rule for rules in told.values() for rule in rules} & {
        rule for rules in untold.values() for rule in rules
    }
