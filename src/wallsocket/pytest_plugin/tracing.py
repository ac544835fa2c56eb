"""``--wallsocket``: the tests run under the trace, and each finding is told with the test that caused it.

pytest begins anew as the command of a recorder (:func:`begin`), so the whole session is one traced process like any
other, with its workers and whatever the tests start. When the session ends, the recording that grows is judged: the rows
that prove a finding have a time and a process, and a test was running there then.

- A finding belongs to the test in which its earliest call lies; outside tests, to the session.
- A socket that a test's own code made (not its fixtures) and that is open when the session ends was left open by it.
"""

from __future__ import annotations

import fnmatch
import json
import os
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import pytest

if TYPE_CHECKING:
    from ..diagnose.finding import Finding
    from ..trace.recording import Recording

__all__ = ["Tracing", "begin"]

#: Says to the process that begins anew which file the recorder writes. It is taken out of the environment at once, so that
#: tests do not see it.
_VARIABLE: Final = "WALLSOCKET_PYTEST_RECORDING"
_SEVERITIES: Final = ("error", "warning", "note")
#: The rule's name in settings and reports for a socket that nobody closed.
_LEFT_OPEN: Final = "socket-left-open"
#: How long the recorder may need for what has happened.
_CATCH_UP_S: Final = 20.0
_WIDTH: Final = 100

_recording: Path | None = None


class _Window(NamedTuple):
    """When a phase of a test ran, in nanoseconds of the recording."""

    begin_ns: int
    end_ns: int
    test: str
    phase: str


def begin(*, user_code: Sequence[Path] = (), library: Sequence[Path] = ()) -> None:
    """Become the recorder of this very command line, unless that has happened.

    Args:
        user_code, library: as of :func:`wallsocket.trace.run.run`.

    Raises:
        pytest.UsageError: pytest was not started from the command line, so it cannot begin anew.
    """
    global _recording
    path = os.environ.pop(_VARIABLE, None)
    if path is not None:
        _recording = Path(path)
        return
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    started = spec.name if spec is not None else os.path.basename(getattr(main, "__file__", "") or "")
    if started not in ("pytest.__main__", "pytest", "py.test"):
        if "PYTEST_XDIST_WORKER" in os.environ:
            # A worker, that has the option from the settings: it is a child of the session that is traced.
            return
        raise pytest.UsageError(
            "--wallsocket starts pytest anew under the trace, so pytest has to be the command: pytest --wallsocket …; "
            "for a program that calls pytest.main(): wallsocket explain -- PROGRAM"
        )
    own = Path(__file__).with_name("record.py")
    sys.stdout.flush()
    sys.stderr.flush()
    code = json.dumps({"user_code": [*map(str, user_code)], "library": [*map(str, library)]})
    os.execv(  # noqa: S606 (no shell is wanted)
        sys.executable, [sys.executable, "-P", str(own), _VARIABLE, code, *sys.orig_argv[1:]]
    )


class Tracing:
    """Notes when each test runs; at the end judges the recording and reports.

    Args:
        config: with ``--wallsocket``.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker = hasattr(config, "workerinput")
        self._phases: dict[int, list[tuple[int, int, str, str]]] = {}  #: by process: begin, end, test, phase
        self._summary: list[str] = []

    # -- in each process that runs tests

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Note the process and the monotonic time of a phase in its report; workers send reports home."""
        end_ns = time.monotonic_ns()
        outcome: Any = yield
        begin_ns = end_ns - int(call.duration * 1e9)
        outcome.get_result().wallsocket_phase = [os.getpid(), begin_ns, end_ns]

    # -- in the process that reports

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the phases of all tests."""
        phase = getattr(report, "wallsocket_phase", None)
        if phase is not None and not self._worker:
            pid, begin_ns, end_ns = phase
            self._phases.setdefault(pid, []).append((begin_ns, end_ns, report.nodeid, str(report.when)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge the recording; a test with a grave finding gets one more report, a failed one."""
        if self._worker or _recording is None:
            return
        from ..errors import WallsocketError
        from ..trace.recording import Recording

        try:
            complete = _catch_up(_recording)
            with Recording.open(_recording) as recording:
                found = _found(recording, self._phases)
        except WallsocketError as error:
            self._summary.append(f"the recording cannot be judged: {error}")
            return
        if not complete:
            self._summary.append("the recorder did not keep up: the last events are missing")
        paths = _Paths(self._config.getini("wallsocket_paths"))
        everywhere = self._config.getoption("--wallsocket-fail") or self._config.getini("wallsocket_fail")
        if everywhere not in (*_SEVERITIES, "never"):
            raise pytest.UsageError(f"wallsocket_fail: {everywhere!r}: error, warning, note or never")
        grave = False
        for test, cases in found.items():
            cases = [case for case in cases if not paths.ignores(test, case.rule)]
            limit = paths.fail(test) or everywhere
            failing = [case for case in cases if _reaches(case.severity, limit)]
            if failing and test:
                self._report(session, test, failing)
            grave = grave or bool(failing)
            for case in cases:
                self._summary.append(f"{case.severity:<8}{test or 'outside tests'}: {case.title}  [{case.rule}]")
                if case not in failing or not test:
                    # Of a test that fails by it the report stands above.
                    self._summary += [f"        {line}" for line in case.lines]
        self._summary.append(f"recording: {_recording}  (wallsocket show, wallsocket explain)")
        if grave and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _report(self, session: pytest.Session, test: str, cases: Sequence[_Case]) -> None:
        text = "\n\n".join("\n".join([f"{case.title}  [{case.rule}]", *case.lines]) for case in cases)
        path = test.split("::")[0]
        report = pytest.TestReport(
            nodeid=test,
            location=(path, None, test.partition("::")[2].replace("::", ".")),
            keywords={},
            outcome="failed",
            longrepr=text,
            when="teardown",
        )
        session.config.hook.pytest_runtest_logreport(report=report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What was found, and where the recording is."""
        if self._summary:
            terminalreporter.section("wallsocket")
            for line in self._summary:
                terminalreporter.write_line(line)


class _Case(NamedTuple):
    """A finding as it is told."""

    rule: str
    severity: Literal["error", "warning", "note"]
    title: str
    lines: list[str]


def _reaches(severity: str, limit: str) -> bool:
    return limit in _SEVERITIES and _SEVERITIES.index(severity) <= _SEVERITIES.index(limit)


class _Paths:
    """The lines of ``wallsocket_paths``: for tests whose name fits a pattern, rules to ignore or what fails them."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._settings: list[tuple[str, str, list[str]]] = []
        for line in lines:
            pattern, colon, rest = line.rpartition(": ")
            words = rest.replace(",", " ").split()
            if not colon or len(words) < 2 or words[0] not in ("ignore", "fail"):
                raise pytest.UsageError(
                    f"wallsocket_paths: {line!r}: write PATTERN: ignore RULE... or PATTERN: fail SEVERITY"
                )
            if words[0] == "fail" and (len(words) != 2 or words[1] not in (*_SEVERITIES, "never")):
                raise pytest.UsageError(f"wallsocket_paths: {line!r}: fail error, warning, note or never")
            self._settings.append((pattern.strip(), words[0], words[1:]))

    def ignores(self, test: str, rule: str) -> bool:
        """Whether a finding of this rule is not told for this test."""
        return any(
            what == "ignore" and rule in words and _fits(test, pattern) for pattern, what, words in self._settings
        )

    def fail(self, test: str) -> str | None:
        """The severity that fails this test, if a line says one."""
        fitting = [words[0] for pattern, what, words in self._settings if what == "fail" and _fits(test, pattern)]
        return fitting[-1] if fitting else None


def _fits(test: str, pattern: str) -> bool:
    """A pattern fits a whole test name, or its file, or a folder above it."""
    file = test.split("::")[0]
    return (
        fnmatch.fnmatchcase(test, pattern)
        or fnmatch.fnmatchcase(file, pattern)
        or file.startswith(pattern.rstrip("/") + "/")
    )


def _catch_up(path: Path) -> bool:
    """Wait until the recorder has written what has happened: a call made now is the mark that is waited for."""
    import socket

    from ..trace.recording import Recording

    asked_ns = time.monotonic_ns()
    deadline = time.monotonic() + _CATCH_UP_S
    while time.monotonic() < deadline:
        # Again each time: a commit follows what comes after it.
        for end in socket.socketpair():
            end.close()
        with Recording.open(path) as recording:
            origin_ns = recording.meta_int("started_monotonic_ns") or 0
            if recording.ended_ns >= asked_ns - origin_ns and next(
                recording.calls(since_ns=asked_ns - origin_ns), None
            ):
                return True
        time.sleep(0.05)
    return False


def _found(recording: Recording, phases: dict[int, list[tuple[int, int, str, str]]]) -> dict[str, list[_Case]]:
    """What was found, by test; "" is outside tests."""
    from ..diagnose import diagnose
    from ..diagnose.text import finding_lines

    origin_ns = recording.meta_int("started_monotonic_ns") or 0
    windows = {
        pid: sorted(_Window(begin - origin_ns, end - origin_ns, test, phase) for begin, end, test, phase in found)
        for pid, found in phases.items()
    }
    found: dict[str, list[_Case]] = {}
    for finding in diagnose(recording).findings:
        window = _window_of(recording, finding, windows)
        lines = finding_lines(finding, width=_WIDTH)
        found.setdefault(window.test if window is not None else "", []).append(
            _Case(finding.rule, finding.severity, finding.title, lines[1:])
        )
    for test, place, name in _left_open(recording, windows):
        found.setdefault(test, []).append(
            _Case(_LEFT_OPEN, "warning", f"a socket was left open: {name}", [f"  made at {place}, never closed"])
        )
    return found


def _window_of(recording: Recording, finding: Finding, windows: dict[int, list[_Window]]) -> _Window | None:
    """The test that ran where and when the finding's earliest call was made."""
    proofs = [proof for proof in finding.proof if proof.table == "call"] or list(finding.proof)
    process = None
    if finding.process is not None:
        process = next((number for number, row in recording.processes.items() if row.pid == finding.process.pid), None)
    for proof in sorted(proofs, key=lambda proof: proof.at_ns):
        if proof.table == "call":
            call = recording.call(proof.row)
            window = _running(recording, call.process if call is not None else process, proof.at_ns, windows)
        else:
            window = _running(recording, process, proof.at_ns, windows)
        if window is not None:
            return window
    return None


def _running(
    recording: Recording, process: int | None, at_ns: int, windows: dict[int, list[_Window]]
) -> _Window | None:
    """The test that this process, or the nearest of its ancestors that runs tests, was running."""
    seen: set[int] = set()
    while process is not None and process not in seen:
        seen.add(process)
        row = recording.processes.get(process)
        if row is None:
            return None
        if row.pid in windows:
            own = windows[row.pid]
            at = bisect_right(own, at_ns, key=lambda window: window.begin_ns) - 1
            return own[at] if at >= 0 and at_ns <= own[at].end_ns else None
        process = row.parent
    return None


def _left_open(recording: Recording, windows: dict[int, list[_Window]]) -> Iterator[tuple[str, str, str]]:
    """Test, line and name of each socket that a test's own code made and that is still open."""
    from ..kernel.address import Address

    for item in recording.sockets.values():
        if item.ended_ns is not None or item.origin not in ("socket", "socketpair", "accept"):
            continue
        row = recording.processes.get(item.process)
        if row is None or row.pid not in windows:
            # What a test starts ends in its own way.
            continue
        window = _running(recording, item.process, item.created_ns, windows)
        if window is None or window.phase != "call":
            continue
        source = recording.sources.get(item.source) if item.source is not None else None
        if source is None or source.file is None:
            continue
        name = " → ".join(str(Address.decode(end)) for end in (item.local, item.remote) if end) or item.origin
        yield window.test, f"{source.file}:{source.line}", name
