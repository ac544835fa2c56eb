"""``wallsocket explain``: say what is wrong, with the line and the proof."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

import click

from ..errors import UsageError
from . import options, recorded, terminal
from .trace import Watch

if TYPE_CHECKING:
    from ..diagnose import Diagnosis, Rule
    from ..trace.recording import Recording
    from ..trace.ring import Ring
    from ..trace.run import Rows, RunResult

__all__ = ["command", "report_lines", "store"]

#: Nothing at or above --fail-on; findings.
_CLEAN: Final = 0
_FINDINGS: Final = 1
#: The recorder could not write to the end, as of wrong use and other errors.
_COULD_NOT_TELL: Final = 2
#: Findings that get an excerpt of the ladder with -v.
_MOST_EXCERPTS: Final = 20
#: Columns of an excerpt in --json.
_JSON_WIDTH: Final = 80


class _Answer(NamedTuple):
    """What is asked, and how the answer is given."""

    rules: Sequence[Rule]
    fail_on: str
    as_json: bool
    quiet: bool
    verbose: bool
    sarif: Path | None
    github: bool
    overwrite: bool


@click.command("explain", cls=options.RecordingOrCommand)
@options.recording
@recorded.how(
    pid="Attach to this running process; may be given several times: both ends tell more.",
    output="Keep the recording here (with a command, -p, or files from another machine).",
)
@recorded.tls_keys
@recorded.ring
@recorded.freeze_on
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note", "never"]),
    default="error",
    show_default=True,
    help="Exit with status 1 when there is a finding of this severity, or worse.",
)
@click.option(
    "--hang",
    "hang_s",
    type=options.DURATION,
    metavar="TIME",
    help="If the command still runs after this time, print what it waits for; it runs on.",
)
@click.option("--rule", "only", multiple=True, metavar="RULE", help="Ask only this rule; may be given again.")
@click.option("--not-rule", "without", multiple=True, metavar="RULE", help="Leave this rule out; may be given again.")
@click.option(
    "--sarif",
    "sarif_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the findings as SARIF 2.1.0 (- is stdout).",
)
@click.option("--github", is_flag=True, help="Print the findings as GitHub's annotations on stdout.")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Show the lines of the ladder around the proof of each finding (--json: in ladder).",
)
@options.json
@options.quiet
@click.pass_context
def command(
    context: click.Context,
    recording: options.Files | None,
    how: recorded.How,
    tls_keys: Path | None,
    ring_words: tuple[str, ...],
    freeze_on: tuple[str, ...],
    fail_on: str,
    hang_s: float | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    sarif_file: Path | None,
    github: bool,
    verbose: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Say what is wrong in a recording (the newest if none is named), or record a program and say it then.

    \b
    wallsocket explain                        the newest recording
    wallsocket explain run.wsrec
    wallsocket explain talk.pcapng strace.log files from another machine, one of them or both
    wallsocket explain -- ./server --port 80  run it, on the machine's own network
    wallsocket explain --lab -- sh run.sh     in a private network, with the wire
    wallsocket explain --lab net.toml         what the file runs in its hosts, in one recording
    wallsocket explain -p 4711 --for 10s      a program that runs already, and runs on

    With a command or -p the findings go to stderr (with --json to stdout), after what the command says itself. Exit status:
    0 nothing at or above --fail-on, 1 findings, 2 could not run, or not record to
    the end; 126 or 127 when the command cannot be started.
    """
    target: tuple[str, ...] | None = context.meta["target"]
    answer = _Answer(_chosen(only, without), fail_on, as_json, quiet, verbose, sarif_file, github, how.overwrite)
    if sarif_file is not None and str(sarif_file) != "-":
        from ..files import refuse

        refuse(sarif_file, replace=how.overwrite)
    if how.pid:
        if target is not None or recording is not None:
            raise click.UsageError("give a recording, a command or -p PID, only one of them", context)
    elif target is None and not isinstance(how.lab, Path):
        kept_at = None
        if recording is not None and how.output is not None:
            kept_at = _import(recording, how.output, replace=how.overwrite)
        options.refuse_without_command(context, *(["output"] if kept_at is not None else []))
        with options.open_recording(kept_at or recording) as opened:
            status, diagnosis = _explain(opened, None, answer)
        if kept_at is not None:
            store(kept_at, diagnosis)
        return status
    elif recording is not None:
        raise click.UsageError("give a recording or a command, not both", context)
    elif not target and not isinstance(how.lab, Path):
        raise click.UsageError("no command after --", context)
    from ..trace.recording import Recording
    from ..trace.summary import say
    from .hang import HangWatch

    how.check(context)
    if hang_s is not None and isinstance(how.lab, Path):
        raise click.UsageError("--hang is for one command, not for the hosts of --lab FILE", context)
    hang = HangWatch(hang_s, how.pid[0] if how.pid else None) if hang_s is not None else None
    recorder = recorded.flight_recorder(ring_words, freeze_on, quiet=quiet)
    seen: list[Callable[[Rows], None]] = [hang.note] if hang is not None else []
    if recorder is not None and recorder.on_finding:
        seen.append(_freezing(recorder, lab=bool(how.lab)))

    def see(rows: Rows) -> None:
        for look in seen:
            look(rows)

    with hang or contextlib.nullcontext():
        result = how.record(target or (), quiet=quiet, tls_keys=tls_keys, live=see if seen else None, ring=recorder)
    with Recording.open(result.path) as opened:
        status, diagnosis = _explain(opened, result, answer)
    # Only now: a reader would be in the way.
    store(result.path, diagnosis)
    if result.failure is not None and diagnosis.failure is None:
        say(f"wallsocket: {result.failure}")
    if result.failure is not None and status == _CLEAN:
        status = _COULD_NOT_TELL
    how.prune(quiet=quiet)
    return status


def _freezing(recorder: Ring, *, lab: bool) -> Callable[[Rows], None]:
    """What looks for findings meanwhile, for a copy of each; they are told at the end."""
    watch = Watch(kernel=True, lab=lab, quiet=True)
    watch.prepare()

    def look(rows: Rows) -> None:
        if watch.take(rows):
            recorder.freeze("finding")

    return look


def _import(recording: options.Files, output: Path, *, replace: bool) -> Path | None:
    """Keep what was made of captures and logs; ``None`` for a recording, which is kept already."""
    from ..trace import importing

    files = recording if isinstance(recording, tuple) else (recording,)
    if len(files) == 1 and importing.kind_of(files[0]) not in ("capture", "log"):
        return None
    importing.write(files, output, replace=replace)
    return output


def _chosen(only: tuple[str, ...], without: tuple[str, ...]) -> Sequence[Rule]:
    from ..diagnose import all_rules
    from .rule import named_rule

    wanted = {named_rule(name).id for name in only}
    unwanted = {named_rule(name).id for name in without}
    return [rule for rule in all_rules() if (not wanted or rule.id in wanted) and rule.id not in unwanted]


def _explain(recording: Recording, result: RunResult | None, answer: _Answer) -> tuple[int, Diagnosis]:
    """Judge and print; ``result`` is of the command that was just run, if one was."""
    from ..diagnose import diagnose
    from ..diagnose.suppression import without_accepted

    started = recording.meta_int("started_realtime_ns")
    found = diagnose(recording, answer.rules)
    diagnosis, accepted = without_accepted(found, started / 1e9 if started is not None else None)
    if answer.sarif is not None:
        _write_sarif(diagnosis, answer)
    if answer.github:
        from ..diagnose.formats import github

        for line in github(diagnosis.findings, root=Path.cwd()):
            click.echo(line)
    if answer.as_json:
        stream = sys.stdout.buffer
        told = _with_excerpts(recording, diagnosis) if answer.verbose else diagnosis
        for encoded in told.json_lines():
            stream.write(encoded + b"\n")
        stream.flush()
    elif str(answer.sarif) != "-" and (not answer.quiet or diagnosis.findings or diagnosis.failure is not None):
        _print(recording, diagnosis, result, accepted, verbose=answer.verbose)
    if diagnosis.reaches(answer.fail_on):
        return _FINDINGS, found
    # What is not there cannot be judged: that no rule fired says nothing.
    cut_off = diagnosis.failure is not None or (result is not None and result.failure is not None)
    return (_COULD_NOT_TELL if cut_off else _CLEAN), found


def _write_sarif(diagnosis: Diagnosis, answer: _Answer) -> None:
    import json

    from .. import __version__
    from ..diagnose.formats import sarif
    from ..files import whole

    assert answer.sarif is not None
    log = sarif(diagnosis.findings, answer.rules, version=str(__version__), root=Path.cwd())
    text = json.dumps(log, ensure_ascii=True, indent=1) + "\n"
    try:
        with whole(answer.sarif, replace=answer.overwrite) as file:
            file.write(text.encode())
    except OSError as error:
        raise UsageError(f"--sarif {answer.sarif}: {error.strerror}") from error


def store(path: Path, diagnosis: Diagnosis) -> None:
    """Put the findings into the recording that was just made; a full disk must not hide them."""
    import msgspec

    from ..errors import RecordingError
    from ..trace.recording import Evidence, StoredFinding, write_findings

    stored = [
        StoredFinding(
            finding.rule,
            msgspec.json.encode(finding).decode(),
            tuple(Evidence(proof.layer, proof.table, proof.row, proof.text) for proof in finding.proof),
        )
        for finding in diagnosis.findings
    ]
    try:
        write_findings(path, stored)
    except RecordingError as error:
        click.echo(f"wallsocket explain: {error}", err=True)


def report_lines(
    recording: Recording, diagnosis: Diagnosis, stream: TextIO, *, width: int | None = None, verbose: bool = False
) -> list[str]:
    """The answer for people: the ladder of the first finding, or the lines of it around the proof; the findings; what was checked.

    ``verbose``: around the proof of each finding.
    """
    from ..diagnose.picture import Pictures
    from ..diagnose.text import report
    from ..trace.verdict import duration

    width = terminal.width() if width is None else width
    started = recording.meta_int("started_realtime_ns")
    added_us = _added_us_per_call(recording)
    tracing = f"tracing added {added_us:.{0 if added_us >= 1 else 1}f} µs per call" if added_us else ""
    since_ns = recording.since_ns
    kept = f"what happened before {duration(since_ns)} was not kept" if since_ns is not None else ""
    drawn = diagnosis.findings[: _MOST_EXCERPTS if verbose else 1]
    pictures = Pictures(recording, drawn, width=width, colour=terminal.has_colour(stream))
    ladder = pictures.whole(drawn[0]) if drawn else []
    # A ladder that is seen at a glance is shown once.
    excerpts = {one.rank: pictures.excerpt(one) for one in drawn if verbose or not ladder}
    lines = report(
        diagnosis,
        width=width,
        colour=terminal.has_colour(stream),
        recorded_s=started / 1e9 if started is not None else None,
        added="; ".join(filter(None, (tracing, kept))),
        excerpts=excerpts,
    )
    return [*ladder, "", *lines] if ladder else lines


def _added_us_per_call(recording: Recording) -> float:
    """What tracing added to each call that it delayed, recorded or not."""
    from ..trace.summary import stopped_calls

    added_ns = recording.meta_int("added_ns_per_call") or 0
    stops = recording.meta_int("stops") or 0
    if not added_ns or not stops:
        return added_ns / 1000
    calls = recording.sql("SELECT count(*) FROM call")[0][0]
    return float(added_ns * calls / max(stopped_calls(calls, stops), 1) / 1000)


def _with_excerpts(recording: Recording, diagnosis: Diagnosis) -> Diagnosis:
    """The same, with lines of the ladder around the proof of the first findings."""
    from msgspec.structs import replace

    from ..diagnose.picture import Pictures

    pictures = Pictures(recording, diagnosis.findings[:_MOST_EXCERPTS], width=_JSON_WIDTH)
    findings = [replace(one, ladder=tuple(pictures.excerpt(one))) for one in diagnosis.findings[:_MOST_EXCERPTS]]
    return replace(diagnosis, findings=(*findings, *diagnosis.findings[_MOST_EXCERPTS:]))


def _print(
    recording: Recording, diagnosis: Diagnosis, result: RunResult | None, accepted: int, *, verbose: bool
) -> None:
    from ..trace.text import escape

    lines = report_lines(recording, diagnosis, sys.stdout if result is None else sys.stderr, verbose=verbose)
    if accepted:
        lines.append(f"{accepted} finding{'s' if accepted > 1 else ''} accepted by comments in the source")
    if result is not None:
        if diagnosis.target_status:
            lines.append(f"the command ended with status {diagnosis.target_status}")
        lines.append(f"recording: {escape(str(result.path))}")
    for line in lines:
        click.echo(line, err=result is not None)
