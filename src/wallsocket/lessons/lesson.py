"""What a lesson file holds, and reading it.

A lesson is Markdown. ``# Title`` and the TOML block under it describe the lesson; each ``## ID What is claimed`` begins a
claim, with its TOML block, its program (the block ``python``) and the files beside it (``c file=client.c``). Everything
else is text for the reader. The fields of the TOML blocks are those of :class:`Lesson` and :class:`Claim`; CONTRIBUTING.md
walks through one.

Reading is strict: whatever does not belong into a lesson is an error with its file and line.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from types import CodeType
from typing import Any, Final, Literal, TypeVar

import msgspec

from ..errors import UsageError

__all__ = [
    "BUILTINS",
    "DOORS",
    "Block",
    "Claim",
    "Flip",
    "Lesson",
    "LessonError",
    "Question",
    "Verdict",
    "load",
    "parse",
]

#: The folders of lessons in the order of the course, and what one learns behind each.
DOORS: Final[dict[str, str]] = {
    "states": "the states a socket can be in",
    "parameters": "what can be set, and what that changes",
    "frameworks": "what frameworks take over for you",
    "reasons": "why it does not work",
    "raw": "below TCP and UDP",
}

#: What a claim can turn out to be. ``true if`` is right under a condition only, ``code bug``: code that fails or does
#: something else than is said of it, ``not measured``: no experiment on one machine can show it.
Verdict = Literal["true", "true if", "outdated", "wrong", "code bug", "not measured"]

#: What expressions over the observation may call.
BUILTINS: Final = {
    function.__name__: function for function in (abs, all, any, len, max, min, range, round, set, sorted, sum)
}

_CLAIM_ID: Final = re.compile(r"[A-Z]+[0-9]+")
_FENCE: Final = re.compile(r"(?P<mark>`{3,})(?P<info>[^`]*)")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class LessonError(UsageError):
    """A lesson file is not as it must be; the text names the file and the line."""

    def __init__(self, path: Path, line: int, what: str) -> None:
        super().__init__(f"{path}:{line}: {what}")
        self.path = path
        self.line = line


class Block(msgspec.Struct, frozen=True):
    """A part of a claim's or a lesson's text, in the order of the file.

    Attributes:
        kind: ``text`` (Markdown), ``program``, ``file``, or ``code``: shown and not run.
        text: without the fences.
        language: first word behind the fence.
        name: of a ``file``.
        line: where it begins in the lesson file.
    """

    kind: Literal["text", "program", "file", "code"]
    text: str
    language: str = ""
    name: str = ""
    line: int = 0


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked before the program runs: a prediction, and the reason for it.

    Attributes:
        ask: the question.
        because: why the right answer is right; shown when the program has run.
        reason: how the reason is asked for.
        choices: answer -> expression over what was seen that is true when this is the answer; exactly one must be.
        answer: instead of choices: an expression whose value is to be typed, such as a count.
    """

    ask: str
    because: str
    reason: str = "Why?"
    choices: dict[str, str] = {}
    answer: str = ""


class Flip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another setting of the kernel under which the verdict is another one.

    Attributes:
        sysctl: settings of the program's network, by name.
        verdict: what the claim is then.
    """

    sysctl: dict[str, int | str]
    verdict: Verdict


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One statement about sockets, and the experiment that shows what is right about it.

    Attributes:
        id: short name, such as ``U24``. claim: what is claimed (both stand in the heading).
        slide: where the lecture says it; empty for what it does not say.
        expected: the verdict that was found when the lesson was written (Linux 6.18).
        statement: what is right, in one or two sentences.
        read: manual pages, RFCs, kernel files.
        question: asked before.
        seen: variable of the program -> what it is, in words; these are the observation.
        verdict: verdict -> expression over what was seen; the first that is true is the verdict.
        network: ``host``: the program runs in a private host with a loopback interface, alone, with the network
            capabilities there. ``any``: the same, or on the machine's own network where private ones are refused.
            ``none``: as an ordinary process of this machine; it may make a lab itself.
        hosts: the program finds hosts of one lab under these names, linked with each other; it runs outside of them.
        link: what the link does to frames, as for :func:`wallsocket.lab.hosts`. ipv6: hosts have IPv6 addresses.
        capabilities: with ``network = "host"``: whether the program may configure it and open raw sockets.
        needs: programs, and packages of Python, that the base installation does not bring: ``nft``, ``dpkt``.
        sysctl: settings of the host, or of all hosts, made before the program starts.
        limit_s: seconds after which the program is ended: for one that is stuck, so many more than a slow machine needs.
        show: what is drawn from a recording of the run: ``ladder``, ``calls`` or ``states``.
        flips: settings that turn the verdict.
        not_shown: why there is no experiment; then there is no program, question or verdict either.
        blocks: the text and the program. line: of the heading.
        shared: files of the lesson, which stand beside the programs of all its claims.
    """

    id: str
    claim: str
    lesson: str
    path: Path
    line: int
    blocks: tuple[Block, ...]
    shared: tuple[Block, ...]
    expected: Verdict
    statement: str
    slide: str = ""
    read: tuple[str, ...] = ()
    question: Question | None = None
    seen: dict[str, str] = {}
    verdict: dict[Verdict, str] = {}
    network: Literal["host", "any", "none"] = "host"
    hosts: tuple[str, ...] = ()
    link: dict[str, Any] = {}
    ipv6: bool = False
    capabilities: bool = True
    needs: tuple[str, ...] = ()
    sysctl: dict[str, int | str] = {}
    limit_s: float = 60.0
    show: Literal["", "ladder", "calls", "states"] = ""
    flips: tuple[Flip, ...] = ()
    not_shown: str = ""

    @property
    def program(self) -> str:
        """The program's text; empty when there is none."""
        return next((block.text for block in self.blocks if block.kind == "program"), "")

    @property
    def files(self) -> dict[str, str]:
        """The files beside the program, by name."""
        return {block.name: block.text for block in (*self.shared, *self.blocks) if block.kind == "file"}


class Lesson(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A few claims that belong together.

    Attributes:
        id: the file's name without ``.md``. door: its folder. title: the heading.
        minutes: how long a learner takes.
        order: its place behind its door.
        builds_on: ids of lessons to be done before.
        blocks: the text before the first claim.
        claims: in the order of the file.
    """

    id: str
    door: str
    title: str
    path: Path
    blocks: tuple[Block, ...]
    claims: tuple[Claim, ...]
    minutes: int
    order: int
    builds_on: tuple[str, ...] = ()


#: Fields that come from the rest of the file, not from a TOML block.
_NOT_WRITTEN: Final = {"id", "claim", "lesson", "path", "line", "blocks", "shared", "door", "title", "claims"}

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class _Section:
    """A heading and what stands under it."""

    def __init__(self, heading: str, line: int) -> None:
        self.heading = heading
        self.line = line
        self.blocks: list[Block] = []
        self.table: dict[str, Any] | None = None
        self.toml = ""
        self.toml_line = line


def load(path: Path) -> Lesson:
    """Read a lesson from its file; the folder is its door.

    Raises:
        LessonError: it is not as a lesson must be.
        OSError: it cannot be read.
    """
    return parse(path.read_text(encoding="utf-8"), path)


def parse(text: str, path: Path) -> Lesson:
    """Read a lesson from its text; ``path`` gives its id, its door and the errors their place.

    Raises:
        LessonError: it is not as a lesson must be.
    """
    first, *others = _sections(text, path)
    if any(block.kind == "program" for block in first.blocks):
        raise LessonError(path, first.line, "a program belongs to a claim; what all claims import is python file=NAME")
    shared = tuple(block for block in first.blocks if block.kind == "file")
    claims = tuple(_claim(section, path, shared) for section in others)
    return _convert(
        first, path, Lesson, id=path.stem, door=path.parent.name, title=first.heading, claims=claims, path=path
    )


def _sections(text: str, path: Path) -> list[_Section]:
    found: list[_Section] = []
    lines = text.splitlines()
    prose: list[str] = []
    prose_line = 1

    def end_prose() -> None:
        body = "\n".join(prose).strip("\n")
        prose.clear()
        if body.strip():
            if not found:
                raise LessonError(path, prose_line, "text before the heading '# Title'")
            found[-1].blocks.append(Block("text", body, line=prose_line))

    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        fence = _FENCE.fullmatch(line.rstrip())
        if fence is not None:
            end_prose()
            body, number = _fenced(lines, number, fence["mark"], path)
            if not found:
                raise LessonError(path, number, "a block before the heading '# Title'")
            _add(found[-1], fence["info"].split(), body, number - body.count("\n"), path)
            prose_line = number + 1
        elif line.startswith(("# ", "## ")):
            end_prose()
            if line.startswith("# ") == bool(found):
                raise LessonError(
                    path, number, "a lesson begins with one '# Title'; claims are '## ID What is claimed'"
                )
            found.append(_Section(line.lstrip("#").strip(), number))
            prose_line = number + 1
        else:
            prose.append(line)
    end_prose()
    if not found:
        raise LessonError(path, 1, "there is no heading '# Title'")
    return found


def _fenced(lines: list[str], number: int, mark: str, path: Path) -> tuple[str, int]:
    """The text up to the closing fence, and the number of lines read."""
    start = number
    while number < len(lines):
        if lines[number].rstrip() == mark:
            return "".join(f"{line}\n" for line in lines[start:number]), number + 1
        number += 1
    raise LessonError(path, start, "this block is not closed")


def _add(section: _Section, info: list[str], body: str, line: int, path: Path) -> None:
    """Put a fenced block into its section; ``line`` is that of its first line of content."""
    language, *words = info or [""]
    if language == "toml" and not words:
        if section.table is not None:
            raise LessonError(path, line, f"a second TOML block under {section.heading!r}")
        try:
            section.table = tomllib.loads(body)
        except tomllib.TOMLDecodeError as error:
            at = re.search(r"at line (\d+)", str(error))
            raise LessonError(path, line + int(at[1]) - 1 if at else line, str(error)) from None
        section.toml, section.toml_line = body, line
    elif words:
        name = words[0].removeprefix("file=")
        if len(words) > 1 or name == words[0] or not _FILE_NAME.fullmatch(name):
            raise LessonError(path, line - 1, f"after {language!r} may stand file=NAME, not {' '.join(words)!r}")
        section.blocks.append(Block("file", body, language, name, line))
    elif language == "python":
        section.blocks.append(Block("program", body, language, line=line))
    elif language in ("text", "sh"):
        section.blocks.append(Block("code", body, language, line=line))
    else:
        raise LessonError(
            path, line - 1, f"a block is toml, python, text, sh, or LANGUAGE file=NAME, not {language or 'unnamed'!r}"
        )


def _convert(section: _Section, file: Path, kind: type[_Struct], **given: Any) -> _Struct:
    if section.table is None:
        raise LessonError(file, section.line, f"no TOML block under {section.heading!r}")
    wrong = _NOT_WRITTEN & section.table.keys()
    if wrong:
        raise LessonError(file, section.toml_line, f"{min(wrong)} comes from the heading, not from the TOML block")
    try:
        return msgspec.convert({**section.table, **given, "blocks": tuple(section.blocks)}, kind)
    except msgspec.ValidationError as error:
        raise LessonError(file, _line_of(section, str(error)), str(error)) from None


def _line_of(section: _Section, complaint: str) -> int:
    """The line of the TOML block that a complaint of msgspec is about."""
    named = re.search(r"unknown field `(\w+)`", complaint) or re.search(r"\$\.(\w+)", complaint)
    if named is not None:
        for number, line in enumerate(section.toml.splitlines()):
            if re.match(rf"\W*{named[1]}\b", line):
                return section.toml_line + number
    return section.toml_line


def _claim(section: _Section, path: Path, shared: tuple[Block, ...]) -> Claim:
    name, _, claimed = section.heading.partition(" ")
    if not _CLAIM_ID.fullmatch(name) or not claimed.strip():
        raise LessonError(path, section.line, f"a claim is '## ID What is claimed', not {section.heading!r}")
    claim = _convert(
        section,
        path,
        Claim,
        id=name,
        claim=claimed.strip(),
        shared=shared,
        lesson=path.stem,
        path=path,
        line=section.line,
    )

    def demand(condition: object, what: str, key: str = "") -> None:
        if not condition:
            raise LessonError(path, _line_of(section, f"$.{key}"), f"{name}: {what}")

    programs = sum(block.kind == "program" for block in claim.blocks)
    if claim.not_shown:
        demand(not (programs or claim.seen or claim.verdict or claim.question), "not_shown, and yet an experiment")
        return claim
    demand(programs == 1, f"a claim has one block 'python', not {programs} (or not_shown = \"why\")")
    demand(claim.seen, "no [seen]: which variables of the program are the observation?")
    demand(not claim.seen.keys() & BUILTINS.keys(), f"[seen] may not use the names {', '.join(BUILTINS)}", "seen")
    demand(claim.verdict, "no [verdict]: how does the verdict follow from what was seen?")
    demand(claim.expected in claim.verdict, f"no rule gives the expected verdict {claim.expected!r}", "verdict")
    demand(claim.question, "no [question]: what is predicted, and why?")
    demand(not (claim.hosts and claim.network != "host"), "hosts, and another network", "network")
    expressions = list(claim.verdict.values())
    if claim.question is not None:
        two = "a question has either several choices or an answer"
        demand(
            len(claim.question.choices) > 1 if not claim.question.answer else not claim.question.choices,
            two,
            "question",
        )
        expressions += claim.question.choices.values()
        expressions += [claim.question.answer] if claim.question.answer else []
    for expression in expressions:
        problem = _problem(expression, claim.seen.keys() | BUILTINS.keys())
        if problem:
            where = next((n for n, line in enumerate(section.toml.splitlines()) if expression in line), 0)
            raise LessonError(path, section.toml_line + where, f"{name}: {expression!r}: {problem}")
    return claim


def _globals(code: CodeType) -> set[str]:
    """The names that a code and those inside of it look up, attributes included."""
    inner = (_globals(each) for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*inner)


def _problem(expression: str, names: set[str]) -> str | None:
    """What is wrong with an expression over the observation."""
    try:
        code = compile(expression, "<lesson>", "eval")
    except SyntaxError as error:
        return error.msg
    if _globals(code) <= names:
        return None
    # Attributes are among those of the code: the slow way tells them apart.
    tree = ast.parse(expression, mode="eval")
    own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in names | own:
            return f"{node.id} is not in [seen]"
    return None
