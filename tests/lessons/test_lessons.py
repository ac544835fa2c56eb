"""Each claim is played, gives the verdict that was measured, and answers its own question."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from tests.lessons.verdicts import MEASURED
from wallsocket.lessons.catalogue import all_claims, all_lessons
from wallsocket.lessons.lesson import DOORS, Claim, Flip
from wallsocket.lessons.play import missing, play
from wallsocket.lessons.text import picture_lines

OLDER = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2]) < (6, 5)
PLAYED = [claim for claim in all_claims() if not claim.not_shown]
FLIPS = [(claim, flip) for claim in PLAYED for flip in claim.flips]
DRAWN = [claim for claim in PLAYED if claim.show]


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    """A claim that needs what is not installed here says so, and is not judged."""
    parameters = getattr(request.node, "callspec", None)
    claim = parameters.params.get("claim") if parameters is not None else None
    lacking = missing(claim) if claim is not None else None
    if lacking is not None:
        pytest.skip(lacking)


@pytest.mark.parametrize("claim", PLAYED, ids=lambda claim: claim.id)
def test_claim(claim: Claim) -> None:
    run = play(claim)
    assert run.failure is None, f"{run.failure}\n{run.printed}"
    # An older kernel may lack what a setting turns off here: then the verdict is the one of that setting.
    allowed = {claim.expected} | ({flip.verdict for flip in claim.flips} if OLDER else set())
    assert run.verdict in allowed, run.seen
    assert run.right_answer is not None, f"not exactly one choice is right: {run.seen}"


@pytest.mark.parametrize(("claim", "flip"), FLIPS, ids=[f"{claim.id}-{flip.verdict}" for claim, flip in FLIPS])
def test_the_setting_turns_the_verdict(claim: Claim, flip: Flip) -> None:
    run = play(claim, sysctl=flip.sysctl)
    if OLDER and "which does not exist in private networks" in (run.failure or ""):
        pytest.skip(str(run.failure))
    assert run.failure is None, f"{run.failure}\n{run.printed}"
    assert run.verdict == flip.verdict, run.seen
    assert flip.verdict != claim.expected


@pytest.mark.parametrize("claim", DRAWN, ids=lambda claim: claim.id)
def test_the_run_is_drawn(claim: Claim, tmp_path: Path) -> None:
    run = play(claim, recording=tmp_path / "run.wsrec")
    assert run.failure is None, f"{run.failure}\n{run.printed}"
    assert run.verdict == claim.expected, run.seen
    assert run.recording is not None
    assert list(picture_lines(run.recording, claim.show, width=110, colour=False))


def test_verdicts_are_those_that_were_measured() -> None:
    written = {claim.id: claim.expected for claim in all_claims() if claim.id in MEASURED}
    assert written == {name: verdict for name, verdict in MEASURED.items() if name in written}


def test_every_measured_claim_has_an_experiment_or_a_reason_why_not() -> None:
    written = {claim.id for claim in all_claims()}
    assert set(MEASURED) <= written
    without = [claim.id for claim in all_claims() if claim.not_shown]
    assert without == [name for name, verdict in MEASURED.items() if verdict == "not measured"]


@pytest.mark.parametrize("claim", PLAYED, ids=lambda claim: claim.id)
def test_what_a_program_needs_is_named(claim: Claim) -> None:
    text = "\n".join([claim.program, *claim.files.values()])
    for name, use in {"nft": ".nft(", "dpkt": "import dpkt"}.items():
        assert (name in claim.needs) == (use in text), f"{claim.id}: needs and {use}"


def test_each_id_is_there_once() -> None:
    ids = [claim.id for claim in all_claims()]
    assert sorted(set(ids)) == sorted(ids)
    lessons = [lesson.id for lesson in all_lessons()]
    assert sorted(set(lessons)) == sorted(lessons)
    assert not set(lessons) & {name.lower() for name in ids}


def test_lessons_build_on_earlier_ones() -> None:
    before: set[str] = set()
    for lesson in all_lessons():
        assert lesson.door in DOORS
        assert lesson.claims
        assert set(lesson.builds_on) <= before, f"{lesson.id} builds on what comes later or does not exist"
        before.add(lesson.id)


def test_nothing_of_a_program_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert play(next(claim for claim in PLAYED if claim.id == "U19")).failure is None
    assert not list(tmp_path.iterdir())
