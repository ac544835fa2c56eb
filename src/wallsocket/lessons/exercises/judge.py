"""From what was played and recorded to a verdict: the first failed scenario, its likely cause, and a hint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...diagnose import rule_of
from ...diagnose.finding import Certainty
from ...diagnose.text import source_text
from ...trace.syscalls import Role
from .case import Case, Place
from .exercise import Exercise
from .hints import HINTS
from .mistakes import MISTAKES, Mistake, Spotted
from .mistakes.ending import VANISHED
from .peer import Played
from .verdict import Cause, Outcome, Verdict

if TYPE_CHECKING:
    from ...diagnose import Diagnosis, Finding
    from ...trace.recording import Recording

__all__ = ["judge"]

_BY_ID: Final = {mistake.id: mistake for mistake in MISTAKES}
_SURE: Final = ("certain", "strong")


def judge(
    exercise: Exercise, path: Path, played: Sequence[Played], recording: Recording, diagnosis: Diagnosis
) -> tuple[Verdict, Case | None]:
    """Return the verdict, and the case of the first failed scenario for whoever draws it."""
    by_name = {one.scenario: one for one in played}
    outcomes = tuple(_outcome(exercise, scenario.name, by_name.get(scenario.name)) for scenario in exercise.scenarios)
    passed = sum(outcome.passed is True for outcome in outcomes)
    failed = next((one for one in played if one.kind is not None), None)
    if failed is None:
        complete = passed == len(outcomes)
        verdict = Verdict(
            "right" if complete else "could not run",
            exercise.name,
            str(path),
            passed,
            len(outcomes),
            reason=None if complete else _too_slow(exercise, played, recording),
            outcomes=outcomes,
        )
        return verdict, None
    scenarios = {scenario.name: scenario for scenario in exercise.scenarios}
    cases = [Case(exercise, scenarios[one.scenario], one, recording, path) for one in played if one.kind is not None]
    case = cases[0]
    cause = _cause(case, cases[1:], diagnosis)
    reason = None
    if not failed.started:
        reason = _not_started(case, cause)
    verdict = Verdict(
        "wrong" if failed.started else "could not run",
        exercise.name,
        str(path),
        passed,
        len(outcomes),
        failed=failed.scenario,
        cause=cause,
        reason=reason,
        outcomes=outcomes,
    )
    return verdict, case


def _outcome(exercise: Exercise, name: str, played: Played | None) -> Outcome:
    title = next(scenario.title for scenario in exercise.scenarios if scenario.name == name)
    if played is None:
        return Outcome(name, title, None)
    if played.kind is None:
        return Outcome(name, title, True, peer=played.log)
    return Outcome(name, title, False, played.kind, played.expected, played.seen, played.log)


def _too_slow(exercise: Exercise, played: Sequence[Played], recording: Recording) -> str:
    """Why not every scenario was played, though none failed."""
    reason = f"it took too long: {len(played)} of {len(exercise.scenarios)} scenarios were played"
    # The first process of the recording is our end.
    calls = sum(1 for process in list(recording.processes)[1:] for _ in recording.calls(process=process))
    return (
        f"{reason}; it made {calls} calls on sockets, and each of them is recorded" if calls > _MANY_CALLS else reason
    )


#: More calls than a program needs that reads and sends more than some bytes at once.
_MANY_CALLS: Final = 20_000


def _not_started(case: Case, cause: Cause) -> str:
    port = case.played.server_port
    verb = "listen on TCP" if case.exercise.protocol == "tcp" else "bind UDP"
    where = f" (line {cause.line})" if cause.line is not None else ""
    return f"it does not {verb} port {port}: {cause.why if cause.id != 'unknown' else case.played.seen}{where}"


# -- the cause


#: Rules whose cause is a peer that does as our peers are told to do.
_OF_PEERS: Final = frozenset({"peer-does-not-read", "silent-peer", "slow-reader"})
#: The rule that says of a long message what a program does wrong with one in parts.
_OF_PARTS: Final = "one-recv-per-message"
#: What went wrong is not what was answered.
_NO_ANSWERS: Final = frozenset({"refused", "ended", "restless"})
#: What a client sees of a program that dies.
_CUT_SHORT: Final = frozenset({"ended early", "reset", "no answer", "refused", "ended"})


def _cause(case: Case, others: Sequence[Case], diagnosis: Diagnosis) -> Cause:
    """The likely cause of a failed scenario, the surest first."""
    # An error that the program died of is nearer than what came of it.
    died = case.exercise.role == "server" and case.crash is not None and case.played.kind in _CUT_SHORT
    own = _findings(case, diagnosis)
    if case.played.mistake is not None and not died:
        told = _BY_ID[case.played.mistake]
        for name in told.yields_to:
            spot = _BY_ID[name].spot
            if spot is not None and (spotted := spot(case)) is not None:
                return _of_mistake(_BY_ID[name], spotted)
            for finding in own:
                if finding.rule == name and finding.certainty in _SURE:
                    return _of_finding(case, finding)
        return _told(case, told, "certain")
    for mistake in MISTAKES:
        if mistake.first and mistake.spot is not None and (spotted := mistake.spot(case)) is not None:
            return _of_mistake(mistake, spotted)
    for finding in own:
        if finding.severity != "note" and finding.certainty in _SURE:
            return _of_finding(case, finding)
    for mistake in MISTAKES:
        if not mistake.first and mistake.spot is not None and (spotted := mistake.spot(case)) is not None:
            return _of_mistake(mistake, spotted)
    # The same fault may show itself more clearly in another scenario.
    for finding in (finding for other in others for finding in _findings(other, diagnosis)):
        if case.scenario.mistake == "part-answered" and finding.rule == _OF_PARTS and finding.certainty in _SURE:
            return _of_finding(case, finding)
    if case.scenario.mistake is not None and case.played.kind not in _NO_ANSWERS:
        return _told(case, _BY_ID[case.scenario.mistake], "hint")
    for finding in own:
        return _of_finding(case, finding)
    return _unknown(case)


def _findings(case: Case, diagnosis: Diagnosis) -> list[Finding]:
    """Findings about the program in this scenario, or at a line of it that it shares with others; causes first."""
    pids = {case.recording.processes[process].pid for process in case.processes}
    port = case.played.server_port
    found = []
    for finding in diagnosis.findings:
        local = finding.socket.local if finding.socket is not None else None
        if (finding.process is None or finding.process.pid not in pids) and not (local or "").endswith(f":{port}"):
            continue
        if finding.rule in case.scenario.beside or finding.rule in _OF_PEERS:
            continue
        # What the program says of its end goes before what fits it.
        if finding.rule == "dies-of-client-reset" and case.crash is not None and not VANISHED.search(case.crash.error):
            continue
        # What came of our ending the program is none of its faults.
        if all(proof.at_ns > case.failed_ns for proof in finding.proof):
            continue
        found.append(finding)
    return sorted(found, key=lambda finding: (finding.follows_from is not None, finding.rank))


def _told(case: Case, mistake: Mistake, certainty: Certainty) -> Cause:
    """A mistake that the other end could tell, or that the scenario is there for; the line is that of a call it is about."""
    if mistake.where == "wait":
        call = case.waits()
    elif mistake.where == "accept":
        call = next(reversed(case.accepts()), None)
    else:
        role = {"send": Role.SEND, "receive": Role.RECEIVE, "end": Role.END}[mistake.where]
        before = [call for call in case.calls if case.role(call) is role and call.entry_ns <= case.failed_ns]
        on_it = [call for call in before if case.socket is not None and call.socket == case.socket.id]
        # Another connection's end says nothing of this one.
        call = next(reversed(on_it if mistake.where == "end" else on_it or before), None)
    why = f"expected {case.played.expected}; the other end saw {case.played.seen}"
    return _of_mistake(mistake, Spotted(why, case.place(call), certainty))


def _of_mistake(mistake: Mistake, spotted: Spotted) -> Cause:
    place = spotted.place
    return Cause(
        mistake.id,
        "rule" if rule_of(mistake.id) is not None else "mistake",
        spotted.certainty,
        mistake.title,
        spotted.why,
        mistake.hint,
        place.file,
        place.line,
        source_text(place.file, place.line) or None,
    )


def _of_finding(case: Case, finding: Finding) -> Cause:
    place = Place(finding.file, finding.line)
    proof = [case.recording.call(one.row) for one in finding.proof if one.table == "call"]
    sources = {call.source: case.place(call) for call in proof if call is not None and call.source is not None}
    elsewhere = place not in sources.values() and any(
        (source := case.recording.sources.get(number)) is not None and (source.file, source.line) == place
        for number in sources
    )
    if finding.file is None or Path(finding.file) != case.path.resolve() or elsewhere:
        place = Place(None, None)
    return Cause(
        finding.rule,
        "rule",
        finding.certainty,
        finding.title,
        finding.why,
        HINTS.get(finding.rule, finding.fix),
        place.file,
        place.line,
        source_text(place.file, place.line) or None,
    )


def _unknown(case: Case) -> Cause:
    """No mistake that has a name: what happened, and where the program stood."""
    kind = case.played.kind
    last = case.waits()
    what = "it waits here"
    if kind in ("ended early", "reset"):
        closes = [call for call in case.on_socket if case.role(call).value == "end"]
        last, what = closes[-1] if closes else None, "it closed the connection here"
    elif kind in ("wrong answer", "too much"):
        writes = case.writes()
        last, what = writes[-1] if writes else None, "it sent this here"
    place = case.place(last)
    why = f"expected {case.played.expected}; the other end saw {case.played.seen}"
    if last is not None and place.line is not None:
        why += f"; {what} ({case.name(last)})"
    hint = "Compare what the other end sent and saw with what the task says about this case."
    return Cause(
        "unknown", "mistake", "hint", "the program does something else than the task says", why, hint,
        place.file, place.line, source_text(place.file, place.line) or None,
    )  # fmt: skip
