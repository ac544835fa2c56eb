"""Lessons that were played, as one HTML file: nothing is loaded from elsewhere, no script, light and dark."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final

from ..trace.text import escape as harmless
from . import markdown
from .lesson import DOORS, Block, Claim, Lesson
from .play import Run
from .text import hosts_text, table_rows, value_text, verdict_words

__all__ = ["page"]

_STYLE: Final = """
:root { color-scheme: light dark; --text: #1d2329; --page: #fff; --quiet: #586069; --line: #d5dae0; --code: #f4f6f8;
  --good: #14692f; --bad: #a3211b; --warn: #7d5300; }
@media (prefers-color-scheme: dark) { :root { --text: #dde3ea; --page: #14181c; --quiet: #9aa5b1; --line: #363e47;
  --code: #1d2329; --good: #72d28b; --bad: #ff9a92; --warn: #e9bd62; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; color: var(--text); background: var(--page);
  font: 1rem/1.55 system-ui, sans-serif; }
h1 { line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); } h3 { margin-top: 2.5rem; }
h4 { margin: 2.5rem 0 .3rem; font-size: 1.1rem; }
a { color: inherit; } nav li { margin: .15rem 0; }
.quiet { color: var(--quiet); font-size: .92rem; margin: .1rem 0; }
pre { background: var(--code); padding: .7rem .9rem; overflow-x: auto; border-radius: 4px;
  font: .84rem/1.45 ui-monospace, monospace; }
pre.picture { line-height: 1.25; } code { font-family: ui-monospace, monospace; font-size: .92em; }
.line { counter-increment: line; } pre.code { counter-reset: line; }
.line::before { content: counter(line); display: inline-block; width: 1.6rem; margin-right: 1rem; text-align: right;
  color: var(--quiet); }
caption { text-align: left; } table { border-collapse: collapse; margin: .6rem 0; }
 td, th { text-align: left; vertical-align: top; padding: .2rem .9rem .2rem 0;
  border-bottom: 1px solid var(--line); }
td.value { font-family: ui-monospace, monospace; font-size: .88rem; overflow-wrap: anywhere; }
.verdict { font-weight: 600; } .true, .true-if { color: var(--good); } .wrong, .code-bug { color: var(--bad); }
.outdated, .unknown { color: var(--warn); } .not-measured { color: var(--quiet); }
details { margin: .8rem 0; } summary { cursor: pointer; }
figure { margin: 0; } figcaption { color: var(--quiet); font-size: .9rem; }
@media (max-width: 40rem) { .seen > tbody > tr > *, .seen > tbody > tr { display: block; } .seen td.value { overflow-x: auto; } }
/* What is folded away is printed, too: by the pseudo-element where browsers have it. */
@media print { details > * { display: block; } details::details-content { content-visibility: visible; }
  pre { white-space: pre-wrap; } h3, h4, figcaption { break-after: avoid; } tr { break-inside: avoid; } }
"""


def page(lessons: Sequence[tuple[Lesson, Sequence[Run]]], pictures: dict[str, str], *, version: str) -> str:
    """The whole page.

    Args:
        lessons: with the runs of their claims.
        pictures: claim's id -> its recording, drawn as text.
        version: of this package.
    """
    return "\n".join(_page(lessons, pictures, version)) + "\n"


def _page(lessons: Sequence[tuple[Lesson, Sequence[Run]]], pictures: dict[str, str], version: str) -> Iterator[str]:
    kernel = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>What sockets do on {_text(kernel)}</title><style>{_STYLE}</style></head><body>"
    yield "<header><h1>What sockets do here</h1>"
    when = time.strftime("%Y-%m-%d %H:%M %Z")
    yield f'<p class="quiet">Played on {_text(kernel)}, Python {platform.python_version()}, {when}, wallsocket {_text(version)}</p>'
    verdicts = Counter(run.verdict for _, runs in lessons for run in runs)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    yield f"<p>{sum(verdicts.values())} claims: {counts}.</p></header>"
    yield from _contents(lessons)
    yield "<main>"
    door = ""
    shown = {lesson.id for lesson, _ in lessons}
    for lesson, runs in lessons:
        if lesson.door != door:
            door = lesson.door
            yield f"<h2>{_text(door.capitalize())}: {_text(DOORS[door])}</h2>"
        yield from _lesson(lesson, runs, pictures, shown)
    yield "</main></body></html>"


def _contents(lessons: Sequence[tuple[Lesson, Sequence[Run]]]) -> Iterator[str]:
    yield '<nav aria-label="Lessons"><ul>'
    for lesson, _ in lessons:
        yield f'<li><a href="#{lesson.id}">{_text(lesson.title)}</a> <span class="quiet">{lesson.minutes} min</span></li>'
    yield "</ul></nav>"


def _lesson(lesson: Lesson, runs: Sequence[Run], pictures: dict[str, str], shown: set[str]) -> Iterator[str]:
    yield f'<section><h3 id="{lesson.id}">{_text(lesson.title)}</h3>'
    after = ", ".join(f'<a href="#{name}">{name}</a>' if name in shown else name for name in lesson.builds_on)
    yield f'<p class="quiet">{lesson.minutes} minutes{"; after " + after if after else ""}</p>'
    for block in lesson.blocks:
        yield from _block(block)
    for run in runs:
        yield from _claim(run, pictures.get(run.claim.id, ""))
    yield "</section>"


def _claim(run: Run, picture: str) -> Iterator[str]:
    claim = run.claim
    yield f'<article><h4 id="{claim.id}"><a href="#{claim.id}">{claim.id}</a> {_inline(claim.claim)}</h4>'
    if claim.slide:
        yield f'<p class="quiet">slide: {_text(claim.slide)}</p>'
    for block in claim.blocks:
        if block.kind in ("text", "code"):
            yield from _block(block)
    if claim.question is not None:
        yield from _question(claim, run)
    for block in claim.blocks:
        if block.kind == "program" and claim.hosts:
            yield f'<p class="quiet">{_text(hosts_text(claim))}</p>'
        if block.kind in ("program", "file"):
            yield from _block(block)
    if picture:
        yield "<figure><figcaption>the recording of this run</figcaption>"
        yield f'<pre class="picture" tabindex="0">{_text(picture)}</pre></figure>'
    yield from _observation(run)
    yield "</article>"


def _question(claim: Claim, run: Run) -> Iterator[str]:
    question = claim.question
    assert question is not None
    yield f"<p><strong>Predict:</strong> {_inline(question.ask)} {_inline(question.reason)}</p>"
    if question.choices:
        yield '<ol type="A">' + "".join(f"<li>{_inline(choice)}</li>" for choice in question.choices) + "</ol>"
    if run.right_answer is not None:
        yield f"<details><summary>the answer</summary><p>{_inline(run.right_answer)}. {_inline(question.because)}</p></details>"


def _observation(run: Run) -> Iterator[str]:
    claim = run.claim
    if run.seen:
        yield '<table class="seen"><caption class="quiet">seen</caption>'
        for name, words in claim.seen.items():
            yield f'<tr><th scope="row">{_inline(words)}</th><td class="value">{_value(run.seen[name])}</td></tr>'
        yield "</table>"
    if claim.not_shown:
        yield f"<p>Not shown: {_inline(claim.not_shown)}</p>"
    if run.failure is not None:
        yield f'<p class="unknown">{_text(run.failure)}</p>'
    kind = run.verdict.replace(" ", "-")
    differs = "" if run.as_expected or run.failure else f" (on Linux 6.18 as it comes: {claim.expected})"
    dot = "" if run.verdict == "true if" and not differs else "."
    yield f'<p><span class="verdict {kind}">{verdict_words(run)}</span>{differs}{dot} {_inline(claim.statement)}</p>'
    if claim.read:
        yield f'<p class="quiet">{_text(", ".join(claim.read))}</p>'


def _value(value: Any) -> str:
    rows = table_rows(value)
    if rows is None:
        return _text(value_text(value))
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f"<table><tr>{head}</tr>{body}</table>"


def _block(block: Block) -> Iterator[str]:
    if block.kind != "text":
        name = f'<p class="quiet">{_text(block.name)}</p>' if block.name else ""
        code = "\n".join(f'<span class="line">{_text(line)}</span>' for line in block.text.splitlines())
        numbered = ' class="code"' if block.kind in ("program", "file") else ""
        yield f'{name}<pre{numbered} tabindex="0"><code>{code if numbered else _text(block.text)}</code></pre>'
        return
    for part in markdown.parts(block.text):
        match part:
            case markdown.Table(head, rows):
                yield f"<table><tr>{_cells('th', head)}</tr>"
                yield from (f"<tr>{_cells('td', row)}</tr>" for row in rows)
                yield "</table>"
            case markdown.Items(ordered, items):
                kind = "ol" if ordered else "ul"
                yield f"<{kind}>{_cells('li', items)}</{kind}>"
            case markdown.Paragraph(spans):
                yield f"<p>{_spans(spans)}</p>"


def _cells(element: str, cells: Sequence[Sequence[markdown.Span]]) -> str:
    return "".join(f"<{element}>{_spans(spans)}</{element}>" for spans in cells)


def _inline(text: str) -> str:
    return _spans(markdown.spans(text))


_ELEMENTS: Final = {"code": "code", "strong": "strong", "emphasis": "em"}


def _spans(spans: Sequence[markdown.Span]) -> str:
    return "".join(
        f"<{element}>{_text(span.text)}</{element}>" if (element := _ELEMENTS.get(span.kind)) else _text(span.text)
        for span in spans
    )


def _text(text: str) -> str:
    """Text that is inert: nothing in it is HTML, nothing is hidden or reordered."""
    return "\n".join(escape(harmless(line)) for line in text.split("\n"))
