"""``wallsocket diff``: where a bad run parts from a good one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from . import options, terminal

if TYPE_CHECKING:
    from ..diagnose.difference import Difference
    from ..diagnose.finding import Finding
    from ..trace.compare import Comparison, Divergence, Pair, Step
    from ..trace.recording import Recording

__all__ = ["command"]

#: As diff(1): the same, different.
_SAME: Final = 0
_DIFFERENT: Final = 1
#: No layer could be compared, so that nothing was seen to part.
_UNKNOWN: Final = 2
#: Pairs of sockets that are listed beside the first places; likewise those that moved other amounts.
_PAIRS: Final = 12


@click.command()
@click.argument("good", type=click.Path(path_type=Path))
@click.argument("bad", type=click.Path(path_type=Path))
@options.json
def command(good: Path, bad: Path, as_json: bool) -> int:
    """Show where two runs of the same program part: GOOD, which worked, and BAD, which did not.

    Sockets are matched by the program and the line that made them; then calls, kernel and wire are followed until
    they differ. Times do not count, nor how the bytes were split. Exit status: 0 the same, 1 different, 2 could not run,
    or no layer could be compared.
    """
    from ..diagnose import diagnose
    from ..diagnose.difference import difference
    from ..trace.compare import LAYERS, compare

    with options.open_recording(good) as first, options.open_recording(bad) as second:
        compared = compare(first, second)
        judged = difference(diagnose(first), diagnose(second))
        if as_json:
            _write_json(compared, judged)
        else:
            for line in _lines(first, second, compared, judged):
                click.echo(line)
    if not compared.same or judged.only_bad or judged.only_good:
        return _DIFFERENT
    return _UNKNOWN if len(compared.not_compared) == len(LAYERS) else _SAME


def _write_json(compared: Comparison, judged: Difference) -> None:
    from ..trace.text import json_line

    out = sys.stdout.buffer
    for pair in compared.pairs:
        out.write(json_line({"pair": pair}) + b"\n")
    for layer, divergence in compared.first.items():
        out.write(json_line({"first": {"layer": layer, "divergence": divergence}}) + b"\n")
    for where in ("only_bad", "only_good", "both"):
        for finding in getattr(judged, where):
            out.write(json_line({"finding": finding, "where": where}) + b"\n")
    summary = {"same": compared.same, "not_compared": compared.not_compared, "pairs": len(compared.pairs)}
    out.write(json_line({"summary": summary}) + b"\n")
    out.flush()


def _lines(good: Recording, bad: Recording, compared: Comparison, judged: Difference) -> Iterator[str]:
    from ..kernel import program
    from ..trace.compare import LAYERS
    from ..trace.text import Style, column_width, escape, fit, paint
    from ..trace.verdict import amount

    colour = terminal.has_colour()
    width = max(column_width(escape(recording.name)) for recording in (good, bad))
    for word, recording in (("GOOD", good), ("BAD", bad)):
        name = escape(recording.name)
        command = escape(" ".join(program.command_words(recording.meta.get("command"))))
        line = f"{name}{' ' * (width - column_width(name))}  {command}".rstrip()
        yield f"{paint(word.ljust(5), Style.BOLD, colour=colour)} {fit(line, terminal.width() - 6)}"
    matched = [pair for pair in compared.pairs if pair.good is not None and pair.bad is not None]
    yield f"{amount(len(matched), 'socket')} side by side" + _lacking(compared)
    for layer in LAYERS if matched else ():
        yield ""
        divergence = compared.first.get(layer)
        head = paint(layer.ljust(7), Style.BOLD, colour=colour)
        if layer in compared.not_compared:
            yield f"{head} not compared: {escape(compared.not_compared[layer])}"
        elif divergence is None:
            yield f"{head} the same"
        else:
            yield from _divergence(head, compared.pairs[divergence.pair - 1], divergence, colour=colour)
    others = [
        pair
        for pair in matched
        if pair.divergences and all(compared.first.get(item.layer) is not item for item in pair.divergences)
    ]
    if others:
        yield ""
        yield f"{amount(len(others), 'more pair')} of sockets part later:"
        yield from (
            f"  {pair.bad_title}: {', '.join(item.layer for item in pair.divergences)}" for pair in others[:_PAIRS]
        )
        if len(others) > _PAIRS:
            yield f"  … {len(others) - _PAIRS} more; --json has all"
    unlike = [pair for pair in matched if pair.good_moved != pair.bad_moved]
    if unlike:
        yield ""
        yield f"{amount(len(unlike), 'pair')} of sockets moved other amounts, which is no difference by itself:"
        yield from (f"  {pair.bad_title}: {_moved(pair)}" for pair in unlike[:_PAIRS])
        if len(unlike) > _PAIRS:
            yield f"  … {len(unlike) - _PAIRS} more; --json has all"
    yield ""
    yield from _rules(judged, colour=colour)


def _moved(pair: Pair) -> str:
    """What a pair sent and received otherwise: ``sent 3 bytes (GOOD: 15)``."""
    from ..trace.verdict import amount

    return ", ".join(
        f"{word} {amount(bad, 'byte')} (GOOD: {good})"
        for word, good, bad in zip(("sent", "received"), pair.good_moved, pair.bad_moved, strict=True)
        if good != bad
    )


def _lacking(compared: Comparison) -> str:
    from ..trace.verdict import amount

    alone = {
        "GOOD": sum(pair.bad is None for pair in compared.pairs),
        "BAD": sum(pair.good is None for pair in compared.pairs),
    }
    return "".join(f"; {amount(count, 'socket')} in {word} only" for word, count in alone.items() if count)


def _divergence(head: str, pair: Pair, divergence: Divergence, *, colour: bool) -> Iterator[str]:
    from ..trace.text import Style, paint
    from ..trace.verdict import amount

    yield f"{head} {pair.bad_title}"
    if pair.good_title != pair.bad_title:
        yield paint(f"        in GOOD: {pair.good_title}", Style.DIM, colour=colour)
    yield paint(f"        {amount(divergence.common, 'step')} the same, then", Style.DIM, colour=colour)
    if divergence.before is not None:
        yield f"  both  {_step(divergence.before)}"
    yield paint(f"  GOOD  {_step(divergence.good)}", Style.GOOD, colour=colour)
    yield paint(f"  BAD   {_step(divergence.bad)}", Style.ERROR, colour=colour)


def _step(step: Step | None) -> str:
    from ..trace.text import escape

    if step is None:
        return "nothing more"
    where = f"{escape((step.file or '').rpartition('/')[2])}:{step.line}  " if step.line is not None else ""
    times = f"  ×{step.times}" if step.times > 1 else ""
    return f"{step.at_ns / 1e6:11.3f}  {where}{step.text}{times}"


def _rules(judged: Difference, *, colour: bool) -> Iterator[str]:
    from ..trace.text import Style, paint

    head = paint("rules".ljust(7), Style.BOLD, colour=colour)
    if not judged.only_bad and not judged.only_good:
        found = f"; both have: {', '.join(dict.fromkeys(item.rule for item in judged.both))}" if judged.both else ""
        yield f"{head} say the same about both{found}"
        return
    yield head.rstrip()
    for word, findings in (
        ("only in BAD", judged.only_bad),
        ("only in GOOD", judged.only_good),
        ("in both", judged.both),
    ):
        for finding in findings:
            yield f"  {word}: {_finding(finding)}"
            if word == "only in BAD":
                yield paint(f"    {finding.why}", Style.DIM, colour=colour)


def _finding(finding: Finding) -> str:
    from ..trace.text import escape

    where = f"  {escape((finding.file or '').rpartition('/')[2])}:{finding.line}" if finding.line is not None else ""
    follows = f"  follows from {finding.follows_from}" if finding.follows_from is not None else ""
    return f"{finding.title} [{finding.rule}]{where}{follows}"
