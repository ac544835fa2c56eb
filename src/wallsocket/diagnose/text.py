"""Findings and rules as text for people.

Everything that comes from a recording is escaped; a source line is shown only when its file has not changed since.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from ..kernel import program
from ..trace.text import Style, column_width, escape, paint, wrap
from ..trace.verdict import amount
from .finding import Diagnosis, Finding, NotJudged, Severity
from .rule import Rule

__all__ = ["closing_line", "finding_lines", "page", "report", "source_lines", "source_text"]

_STYLES: dict[Severity, Style] = {"error": Style.ERROR, "warning": Style.WARNING, "note": Style.DIM}
#: A larger source file is not read for one line.
_MAX_SOURCE_BYTES = 4 << 20
#: How far into a file a line is looked for.
_MAX_LINE_BYTES = 300
_LABEL = 12
#: Rules that are named which cannot tell for one reason; the others are counted.
_MAX_NAMED = 6
#: Where the title of a finding begins, and the least room between it and the rule's id.
_TITLE, _GAP = 28, 2
#: From this width on the title stands beside the kind of finding, below it under it.
_WIDE = 60
#: Waits that are told; the others are counted.
_MAX_WAITS = 10


def report(
    diagnosis: Diagnosis,
    *,
    width: int,
    colour: bool = False,
    recorded_s: float | None = None,
    added: str = "",
    excerpts: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> list[str]:
    """The whole answer of ``explain``.

    Args:
        diagnosis: what the rules said.
        width: columns to fill.
        colour: whether to use colours.
        recorded_s: when the recording was made (Unix time); source files changed later are not quoted.
        added: what tracing cost, in words.
        excerpts: by the rank of a finding, the lines of the ladder that stand beside it.

    """
    lines: list[str] = []
    causes = sum(1 for finding in diagnosis.findings if finding.follows_from is None)
    numbers: dict[str, str] = {}
    count = 0
    for finding in diagnosis.findings:
        if finding.follows_from is None:
            count += 1
            name = "CAUSE" if causes == 1 else f"CAUSE {count}"
            numbers[finding.rule] = name
        else:
            name = "EFFECT"
        lines += finding_lines(
            finding,
            name,
            follows=numbers.get(finding.follows_from or "", finding.follows_from or ""),
            width=width,
            colour=colour,
            recorded_s=recorded_s,
            excerpt=excerpts.get(finding.rank, ()),
        )
    lines += closing_line(diagnosis, width=width, colour=colour, added=added)
    return lines


def finding_lines(
    finding: Finding,
    name: str = "CAUSE",
    *,
    follows: str = "",
    width: int,
    colour: bool = False,
    recorded_s: float | None = None,
    excerpt: Sequence[str] = (),
) -> list[str]:
    """One finding as a block: what, where, why, proof, the ``excerpt`` of the ladder, usual fix."""
    style = _STYLES[finding.severity]
    how_sure = f"{finding.severity}, {finding.certainty}"
    right = f"follows from {follows}" if follows else finding.rule
    kind = f"{name:<8}{how_sure:<19} "
    indent = _TITLE if width >= _WIDE else 2
    titles = wrap(escape(finding.title).split(" "), width - indent) or [""]
    heads = [kind + titles.pop(0)] if width >= _WIDE else [kind.rstrip()]
    heads += [" " * indent + line for line in titles]
    space = width - column_width(heads[-1]) - column_width(right)
    lines = [paint(head, style, colour=colour) for head in heads]
    if space >= _GAP:
        lines[-1] += " " * space + right
    else:
        lines.append(right.rjust(width))
    where = _where(finding)
    if where and not (finding.process is None and finding.file is None):
        # Where a function begins is not what was called.
        quoted = "" if finding.begins else source_text(finding.file, finding.line, recorded_s)
        lines.append(f"  {paint(where, Style.BOLD, colour=colour)}")
        code = f"      {escape(quoted)}" if quoted else ""
        if column_width(where) + column_width(code) + 2 <= width:
            lines[-1] += code
        else:
            lines.append(code)
    process = finding.process
    if process is not None:
        socket = finding.socket
        ends = ""
        if socket is not None:
            ends = " → ".join(end for end in (socket.local, socket.peer) if end)
        who = program.label(process.command or "", process.pid) + (f", socket {ends}" if ends else "")
        lines += _labelled("in", escape(who).split(" "), width)
    elif finding.socket is not None:
        # Of a capture: nobody knows whose it is.
        lines += _labelled(
            "on",
            escape(" → ".join(end for end in (finding.socket.local, finding.socket.peer) if end)).split(" "),
            width,
        )
    lines += _labelled("why", escape(finding.why).split(" "), width)
    lines += _labelled("proof", _joined(escape(proof.text) for proof in finding.proof), width)
    lines += excerpt
    if not follows:
        lines += _labelled("usual fix", escape(finding.fix).split(" "), width)
    return lines


def _where(finding: Finding) -> str:
    if finding.file is None:
        return f"{escape(finding.function)}, line unknown" if finding.function else "line unknown"
    place = escape(_short(finding.file))
    if finding.line is not None:
        place += f":{finding.line}"
    return f"{place}, where {escape(finding.function or '')} begins" if finding.begins else place


def _short(file: str) -> str:
    here = os.getcwd() + os.sep
    return file[len(here) :] if file.startswith(here) else file


def _labelled(label: str, words: Iterable[str], width: int) -> list[str]:
    wrapped = wrap(words, max(20, width - _LABEL - 2)) or [""]
    first, *rest = wrapped
    return [f"  {label:<{_LABEL - 1}} {first}", *(f"  {'':<{_LABEL}}{line}" for line in rest)]


def _joined(texts: Iterable[str]) -> list[str]:
    """Texts with dots between them, as words that may be wrapped."""
    words: list[str] = []
    for text in texts:
        if words:
            words.append("·")
        words += text.split(" ")
    return words


def source_text(file: str | None, line: int | None, recorded_s: float | None = None) -> str:
    """The text of a source line, or nothing where the file cannot be read or has changed since ``recorded_s``."""
    return source_lines(file, line, recorded_s=recorded_s).get(line or 0, "").strip()


def source_lines(
    file: str | None, line: int | None, *, around: int = 0, recorded_s: float | None = None
) -> dict[int, str]:
    """A source line by its number, and so many ``around`` it; none where :func:`source_text` has nothing."""
    if file is None or line is None or line < 1 or not os.path.isabs(file):
        return {}
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError):
        return {}
    found = os.fstat(descriptor)
    changed = recorded_s is not None and found.st_mtime > recorded_s
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_SOURCE_BYTES or changed:
        os.close(descriptor)
        return {}
    with open(descriptor, "rb") as stream:
        return {
            number: text[:_MAX_LINE_BYTES].decode("utf-8", "replace").rstrip()
            for number, text in enumerate(itertools.islice(stream, line + around), 1)
            if number >= line - around
        }


def closing_line(diagnosis: Diagnosis, *, width: int, colour: bool = False, added: str = "") -> list[str]:
    """How much was checked; without findings it begins with ``No finding``, because that is all that is known."""
    missing = Counter(question.missing for question in diagnosis.cannot_tell)
    open_questions = len(diagnosis.cannot_tell)
    checked = len(diagnosis.checked)
    text = f"{checked} rule{'s' if checked != 1 else ''} checked, {open_questions} could not be checked"
    if missing:
        text += f" ({', '.join(f'{layer} {count}' for layer, count in missing.most_common())})"
    failed = [one for one in diagnosis.not_judged if one.kind == "failed call"]
    # What was lost stands in --json alone: only its owner knows whether anybody misses it.
    waits = [one for one in diagnosis.not_judged if one.kind == "wait"]
    parts = ((sum(one.count for one in failed), "failed call"), (len(waits), "wait"))
    open_ones = [amount(count, noun) for count, noun in parts if count]
    if open_ones:
        text += f"; {' and '.join(open_ones)} not judged"
    text += f"{';' if not diagnosis.findings or open_ones else ','} {diagnosis.lost} events lost"
    if diagnosis.failure is not None:
        lost = diagnosis.lost
        gone = f"{lost} event{'s are' if lost != 1 else ' is'} missing, and rules" if lost else "rules"
        shown = ("they" if lost > 1 else "it") + " would have shown" if lost else "came after it"
        text = f"Recording {escape(diagnosis.failure)}; {gone} cannot tell what {shown}; {text}"
    elif not diagnosis.findings:
        text = f"No finding: {text}"
    if added:
        text += f"; {added}"
    if not diagnosis.complete and diagnosis.failure is None:
        text += "; the recording was cut off"
    lines = wrap(text.split(" "), width)
    for one in failed:
        calls = f"{one.count} call{'s' if one.count > 1 else ''} of {one.call}"
        said = f"not judged: {calls} failed with {one.errno}{_perhaps(one)}; the first is call {one.first}"
        lines += [paint(line, Style.DIM, colour=colour) for line in wrap(said.split(" "), width, "  ")]
    # Of a recording that is cut off one sentence says it of all.
    by_reason: dict[tuple[str, str], list[str]] = {}
    for question in diagnosis.cannot_tell if diagnosis.failure is None else ():
        by_reason.setdefault((question.missing, question.reason), []).append(question.rule)
    for (without, reason), rules in by_reason.items():
        # A layer that was not recorded at all is the reason of a hundred rules.
        named = rules if len(rules) <= _MAX_NAMED else [*rules[: _MAX_NAMED - 1], f"{len(rules) - _MAX_NAMED + 1} more"]
        said = f"cannot tell without {without}: {', '.join(named)} ({escape(reason)})"
        lines += [paint(line, Style.DIM, colour=colour) for line in wrap(said.split(" "), width, "  ")]
    for one in waits[:_MAX_WAITS]:
        said = f"not judged: {escape(one.text)}{_perhaps(one)}"
        lines += wrap(said.split(" "), width, "  ")
    if len(waits) > _MAX_WAITS:
        lines.append(f"not judged: {amount(len(waits) - _MAX_WAITS, 'more wait')}; --json has them all")
    return lines


def _perhaps(one: NotJudged) -> str:
    return f" (perhaps {', '.join(f'#{row}' for row in one.rows)})" if one.rows else ""


def page(rule: Rule, *, width: int, colour: bool = False) -> list[str]:
    """The manual page of a rule."""
    causes = ", ".join(f"#{number}" for number in rule.covers)
    lines = [
        paint(rule.id, Style.BOLD, colour=colour) + f"  {rule.title}",
        f"  {rule.severity}, at best {rule.certainty}; cause {causes}; needs {', '.join(rule.layers)}",
        "",
    ]
    for label, text in (
        ("cause", rule.sentence),
        ("seen as", "; ".join(rule.symptoms)),
        ("proof", rule.proof),
        ("usual fix", rule.fix),
        ("disproof", rule.disproof),
        ("instead of", ", ".join(rule.supersedes)),
        ("leads to", ", ".join(rule.effects)),
        ("read", "; ".join(rule.references)),
    ):
        if text:
            lines += _labelled(label, text.split(" "), width)
    return lines
