"""What a rule still lacks, each in one line that says where."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from wallsocket.diagnose import all_rules, rule_of
from wallsocket.diagnose.play import EXAMPLES, examples
from wallsocket.diagnose.rule import Rule
from wallsocket.diagnose.rules import picture_rules

from ..support.repository import ROOT

__all__ = ["catalogue", "lacking"]

_CAUSES = ROOT / "docs" / "causes.md"
_RULES = "src/wallsocket/diagnose/rules"
#: As in manual pages, RFCs and the kernel's tree.
_REFERENCE = re.compile(
    r"[A-Za-z][\w.+-]*\(\d(?:ssl)?\)|RFC \d{3,4}(?: \d+(?:\.\d+)*)?|(?:net|include|kernel)/[\w/]+\.[ch]"
)
_WORDS = ("title", "severity", "certainty", "sentence", "proof", "fix", "disproof")


def catalogue() -> dict[int, list[str]]:
    """Number of a cause -> the rules that the page names."""
    found: dict[int, list[str]] = {}
    for line in _CAUSES.read_text(encoding="utf-8").splitlines():
        if re.match(r"\| \d+ \|", line):
            cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
            assert len(cells) == 6, f"docs/causes.md: a row has six columns: {line}"
            assert all(cells[:5]), f"docs/causes.md: only the last column may be empty: {line}"
            assert int(cells[0]) not in found, f"docs/causes.md: two rows have this number: {line}"
            found[int(cells[0])] = re.findall(r"`([a-z0-9-]+)`", cells[5])
    return found


def lacking(id: str) -> Iterator[str]:
    """What the rule of this id lacks; nothing when it is whole."""
    file = f"{_RULES}/{id.replace('-', '_')}.py"
    rule = rule_of(id)
    if rule is None:
        there = (ROOT / file).is_file()
        yield f'{file}: {"no class of it has" if there else "there is no such file; its class has"} `id = "{id}"`'
        return
    module = sys.modules[type(rule).__module__]
    if module.__name__.rpartition(".")[2] != id.replace("-", "_"):
        yield f"{_RULES}/{module.__name__.rpartition('.')[2]}.py: the file of {id} is {file}"
        return
    yield from (f"{file}: {text}" for text in _of_class(rule, Path(module.__file__ or "")))
    yield from _of_page(rule)
    there = {path.name for path in examples(rule) if path.suffix == ".py"}
    if rule.pictures != "only" or there:
        wanted = {"broken.py", "healthy.py"}
        yield from (
            f"{(EXAMPLES / id / name).relative_to(ROOT)}: there is no such file" for name in sorted(wanted - there)
        )


def _of_class(rule: Rule, path: Path) -> Iterator[str]:
    for name in (*_WORDS, "covers", "layers", "symptoms", "references"):
        if not getattr(rule, name, None):
            yield f"`{name}` is not given"
    if getattr(rule, "sentence", "") and not rule.sentence.endswith((".", ":")):
        yield "`sentence` ends with no full stop"
    for reference in getattr(rule, "references", ()):
        if not _REFERENCE.fullmatch(reference):
            yield f'`references`: "{reference}" is neither "tcp(7)" nor "RFC 9293 3.6" nor "net/ipv4/tcp.c"'
    names = {other.id for other in all_rules()}
    for name in ("supersedes", "effects"):
        for other in getattr(rule, name):
            if other not in names or other == rule.id:
                yield f"`{name}`: {other} is {'this rule itself' if other == rule.id else 'no rule'}"
    if rule.pictures != "no" and rule.id not in {other.id for other in picture_rules()}:
        yield f'`pictures = "{rule.pictures}"`: name it in _OF_PICTURES of {_RULES}/__init__.py'
    needs = {tracker.__name__ for tracker in rule.needs}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "facts":
            tracker = getattr(node.slice, "id", None)
            if tracker is not None and tracker not in needs:
                yield f"line {node.lineno}: facts[{tracker}] is read, and `needs` does not name it"


def _of_page(rule: Rule) -> Iterator[str]:
    listed = catalogue()
    for number in rule.covers:
        if number not in listed:
            yield f"docs/causes.md: there is no row {number}, which {rule.id} covers"
            continue
        named = sorted(other.id for other in all_rules() if number in other.covers)
        if listed[number] != named:
            yield f"docs/causes.md: the last column of row {number} must be {' '.join(f'`{name}`' for name in named)}"
    for number, names in listed.items():
        if rule.id in names and number not in rule.covers:
            yield f"docs/causes.md: row {number} names {rule.id}, and its `covers` does not have {number}"
