"""What rules say follows the evidence: with a part of it gone, a layer missing or moments less exact, never more than before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.diagnose.altered import Altered, removable
from tests.diagnose.test_examples import judged
from tests.support import battery
from wallsocket.diagnose import Diagnosis, Finding, all_rules, rule_of
from wallsocket.diagnose.finding import CERTAINTIES
from wallsocket.diagnose.play import example
from wallsocket.trace.recording import Recording

#: Rows of a proof that are removed one by one; of more the others say the same again.
MOST = 12
SEEDS = range(3)
#: In the ordinary suite.
SAMPLE = frozenset({"closed-descriptor-used", "linger-zero", "self-connect"})
#: What else is then said, and is true: the row that is gone was the one by which the cause is told from the general case.
GENERAL = {
    "answer-from-another-address": {"datagrams-to-nobody"},
    "datagram-refused": {"datagrams-to-nobody"},
    "dead-address-first": {"syn-unanswered"},
    "firewall-refuses": {"nobody-listens"},
    "group-loop-off": {"group-not-joined"},
    "proxy-from-environment": {"nobody-listens"},
    "second-receiver-refused": {"address-in-use-listener"},
}
#: Programs whose first cause is asked for again and again while the machine has other things to do.
STEADY = (
    *("close-with-unread-data", "one-recv-per-message", "glued-messages", "short-send", "two-readers"),
    *("datagram-truncated", "nobody-listens", "both-wait", "nagle-delayed-ack", "accept-queue-full"),
)
TIMES = 20

TRACED = [rule.id for rule in all_rules() if rule.pictures != "only" and rule.subject != "flow"]
PARAMETERS = [pytest.param(name, marks=() if name in SAMPLE else pytest.mark.soak) for name in TRACED]


def same(diagnosis: Diagnosis, finding: Finding) -> Finding | None:
    """The finding of the same rule about the same socket."""
    return next(
        (one for one in diagnosis.findings if (one.rule, one.socket) == (finding.rule, finding.socket)), None
    ) or next((one for one in diagnosis.findings if one.rule == finding.rule), None)


def assert_not_surer(before: Diagnosis, after: Diagnosis, what: str) -> None:
    """The first finding is no surer than it was."""
    first = before.findings[0]
    left = same(after, first)
    assert left is None or CERTAINTIES.index(left.certainty) >= CERTAINTIES.index(first.certainty), what


def assert_nothing_else(before: Diagnosis, after: Diagnosis, what: str) -> None:
    """No other cause is told with confidence that was not told before."""
    rule = rule_of(before.findings[0].rule)
    assert rule is not None
    known = {one.rule for one in before.findings} | {*rule.supersedes, *rule.effects} | GENERAL.get(rule.id, set())
    fresh = [one for one in after.findings if one.rule not in known and one.certainty != "hint"]
    assert not fresh, f"{what}: {[(one.rule, one.certainty, one.why) for one in fresh]}"


def assert_follows_the_evidence(whole: Altered, name: str) -> None:
    """What is said of a recording that is shown by a rule's broken example."""
    before = whole.diagnosis()
    first, rule = before.findings[0], rule_of(name)
    assert first.rule == name
    assert rule is not None

    cited = removable(first.proof)
    for proof in cited[:MOST]:
        what = f"without {proof.table} {proof.text}"
        after = whole.without([proof]).diagnosis()
        assert_not_surer(before, after, what)
        assert_nothing_else(before, after, what)
    assert_not_surer(before, whole.without(cited).diagnosis(), "without all of its proof")

    for layer in ("kernel", "wire"):
        after = whole.stripped(layer).diagnosis()
        what = f"without the {layer}"
        assert_not_surer(before, after, what)
        assert_nothing_else(before, after, what)
        if same(after, first) is None:
            assert name in {one.rule for one in after.cannot_tell}, f"silent {what}"

    told = [(one.rule, one.certainty) for one in before.findings]
    after = whole.stripped("lines").diagnosis()
    if "lines" in rule.layers:
        assert name in {one.rule for one in after.cannot_tell}, "silent without the lines"
        assert_nothing_else(before, after, "without the lines")
    else:
        assert [(one.rule, one.certainty) for one in after.findings] == told, "without the lines"
    for seed in SEEDS:
        after = whole.retimed(seed).diagnosis()
        assert [(one.rule, one.certainty) for one in after.findings] == told, f"moments less exact, seed {seed}"


@pytest.mark.parametrize("name", PARAMETERS)
def test_rules_say_no_more_than_is_there(name: str, tmp_path: Path) -> None:
    rule = rule_of(name)
    assert rule is not None
    judged(example(rule), tmp_path)
    with Recording.open(tmp_path / "run.wsrec") as recording:
        whole = Altered.of(recording)
    assert_follows_the_evidence(whole, name)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", STEADY)
def test_the_same_program_has_the_same_first_cause_each_time(name: str, tmp_path: Path) -> None:
    rule = rule_of(name)
    assert rule is not None
    found = []
    with battery.Load(2):
        for number in range(TIMES):
            folder = tmp_path / str(number)
            folder.mkdir()
            findings, _, _ = judged(example(rule), folder)
            found.append((findings[0]["rule"], findings[0]["certainty"]) if findings else None)
    assert set(found) == {(name, rule.certainty)}
