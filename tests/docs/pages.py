"""The code blocks of docs/, and what runs them.

The blocks of a page are run from top to bottom in one empty folder, by one shell, as an ordinary user:

- ``console``: each line after ``$ `` is a command; a line that ends with a backslash goes on. What stands below it is what it
  prints, but for numbers, spaces and lines of ``…``. Status 0, or 1 of explain, inspect and
  lesson check, which then have found something.
- ``python``: a program; with ``>>>`` the examples of a doctest. It ends with status 0.
- ``toml``, ``json``, ``yaml``: data that can be read.
- ``sh`` and blocks without a language: lines that begin with ``wallsocket`` are commands with options that exist.
- ``text``: shown only.

A comment before a block says what else it is: ``<!-- file: NAME -->`` it is the content of that file; ``<!-- not run: WHY -->``;
``<!-- first: COMMAND -->`` is run before it and not shown, to wait for a program that was started.

Of what explain and inspect print, the findings are compared, without the rows that prove them: which ladder, and which rows
there are besides, is a matter of nanoseconds.

``scripts/as-ordinary-user .venv/bin/python -m tests.docs.pages PAGE`` prints a page with what its commands print now.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from tests.support.repository import ROOT
from wallsocket import cli

DOCS: Final = ROOT / "docs"
#: Pages whose blocks are run by a test of their own, which has what they need.
ELSEWHERE: Final = {
    "api.md": "tests/trace/test_api.py",
    "endpoints.md": "tests/endpoints/test_docs.py",
    "framing.md": "tests/endpoints/test_docs.py",
    "lab.md": "tests/lab/test_docs.py",
    "one-liners.md": "tests/wire/test_one_liners.py",
    "wire.md": "tests/wire/test_docs.py",
}
#: How long a page may take, all of it.
LIMIT_S: Final = 100
COLUMNS: Final = "92"
_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (file|first|not run): ((?:(?!-->).)+?) -->\n+\Z", re.DOTALL)
#: Commands whose status 1 says that they have found what the page is about.
_MAY_FIND = re.compile(r"(?:^|[|;&]\s*)(?:wallsocket (?:explain|inspect|rule play|lesson check|demo)|pytest)\b")
#: The rows that prove a finding.
_PROOF = re.compile(r"^  proof .*?(?=^  usual fix|^[^\s▸])", re.MULTILINE | re.DOTALL)
#: How many rules were checked, and what stands below.
_CHECKED = re.compile(r"^(?:No finding: )?\d+ rules checked.*", re.MULTILINE | re.DOTALL)
#: Lines that are no use to a reader.
_UNLIKE = re.compile(r"^recording: .*")
#: Directives of MyST that hold no code of ours.
_DIRECTIVES = re.compile(r"^\{(toctree|literalinclude|note|tip|warning|eval-rst|image|figure)\}")


@dataclass
class Command:
    """One ``$ `` line with what the page says that it prints."""

    text: str
    shown: list[str] = field(default_factory=list)


@dataclass
class Block:
    """A fenced block."""

    page: Path
    line: int
    language: str
    text: str
    mark: str = ""  #: "file", "first" or "not run"
    said: str = ""  #: the file's name, the command, or why it is not run

    def __str__(self) -> str:
        return f"{self.page.relative_to(DOCS)}:{self.line}"

    def commands(self) -> list[Command]:
        """The commands of a console block."""
        found: list[Command] = []
        goes_on = False
        for line in self.text.splitlines():
            if line.startswith("$ ") and not goes_on:
                found.append(Command(line.removeprefix("$ ")))
            elif goes_on:
                found[-1].text += "\n" + line.removeprefix("> ")
            elif found:
                found[-1].shown.append(line)
            else:
                raise AssertionError(f"{self}: a console block begins with a line that is no command: {line}")
            goes_on = found[-1].text.endswith("\\") and not found[-1].shown
        return found


def pages() -> list[Path]:
    """The pages that are written by hand."""
    generated = {DOCS / "lesson", DOCS / "rule", DOCS / "_build"}
    return sorted(path for path in DOCS.rglob("*.md") if not generated & set(path.parents))


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, but for directives."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        if _DIRECTIVES.match(fence["language"]):
            continue
        mark = _MARK.search(text, 0, fence.start())
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(page, line, fence["language"].strip(), fence["text"], *(mark.groups() if mark else ())))
    return found


def environment(programs: Path) -> dict[str, str]:
    """Where ``wallsocket``, ``python3`` and ``pytest`` are those of the tests."""
    for name in ("wallsocket", "pytest"):
        module = f'exec {sys.executable} -m {name} "$@"'
        (programs / name).write_text(f"#!/bin/sh\n{module}\n")
    (programs / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for path in programs.iterdir():
        path.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "TMPDIR", "USER", "LOGNAME")}
    return kept | {
        "PATH": f"{programs}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "COLUMNS": COLUMNS,
        "NO_COLOR": "1",
        "SHELL": "/bin/sh",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT / "src"),
        "XDG_STATE_HOME": str(programs / "state"),
        "LC_ALL": "C.UTF-8",
    }


@dataclass
class Done:
    """What a command of a page did."""

    block: Block
    command: Command
    status: int
    printed: str


def run(page: Path, folder: Path) -> list[Done]:
    """Run the blocks of a page, in ``folder``.

    Raises:
        AssertionError: it did not end in time.

    """
    here, programs = folder / "here", folder / "programs"
    here.mkdir()
    programs.mkdir()
    steps: list[tuple[Block, Command]] = []
    script = ["exec 2>&1"]
    for block in blocks(page):
        if block.mark == "not run":
            continue
        if block.mark == "first":
            steps.append((block, Command(block.said)))
        if block.mark == "file":
            (here / block.said).parent.mkdir(parents=True, exist_ok=True)
            (here / block.said).write_text(block.text)
        elif block.language == "python":
            name = programs / f"line-{block.line}.py"
            name.write_text(block.text)
            how = "-m doctest " if ">>> " in block.text else ""
            steps.append((block, Command(f"python3 {how}{name}")))
        elif block.language == "console":
            steps += [(block, command) for command in block.commands()]
    for number, (_, command) in enumerate(steps):
        out = programs / f"out-{number}"
        # In braces, so that a background job, cd and variables stay the shell's.
        script.append(f"{{ {command.text}\n}} </dev/null >{out} 2>&1\necho $? >{out}.status")
    environ = environment(programs)
    shell = subprocess.Popen(["/bin/sh", "-c", "\n".join(script)], cwd=here, env=environ, start_new_session=True)
    try:
        shell.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        last = max((number for number in range(len(steps)) if (programs / f"out-{number}").exists()), default=0)
        block, command = steps[last]
        raise AssertionError(f"{block}: not done after {LIMIT_S} s: {command.text}") from None
    finally:
        # What the page started in the background ends with it.
        try:
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        shell.wait()
    done = []
    for number, (block, command) in enumerate(steps):
        out = programs / f"out-{number}"
        status = Path(f"{out}.status")
        printed = out.read_text(errors="replace") if out.exists() else ""
        done.append(Done(block, command, int(status.read_text()) if status.exists() else -1, printed))
    return done


def complaint(done: Done) -> str:
    """What is wrong with a command of a page, or nothing."""
    may_find = _MAY_FIND.search(done.command.text)
    where = f"{done.block}: $ {done.command.text}"
    if done.status not in ((0, 1) if may_find else (0,)):
        return f"{where}\nended with status {done.status}:\n{done.printed}"
    if done.command.shown and (missing := not_printed(done.command.shown, done.printed)):
        return f"{where}\ndoes not print what the page shows:\n{missing}\nbut:\n{done.printed}"
    return ""


def not_printed(shown: list[str], printed: str) -> str:
    """The first part of what is shown that was not printed."""
    rest = plain(printed)
    for part in re.split(r"^\s*…\s*$", "\n".join(shown), flags=re.MULTILINE):
        wanted = plain(part)
        found = rest.find(wanted)
        if found < 0:
            return part.strip("\n")
        rest = rest[found + len(wanted) :]
    return ""


def plain(text: str) -> str:
    """Text without what differs from run to run: see the top of this file."""
    if found := re.search(r"^CAUSE", text, re.MULTILINE):
        text = text[found.start() :]
    text = _PROOF.sub("", text)
    text = _CHECKED.sub("", text)
    text = re.sub(r"\d+(?:[.,]\d+)*(?: (?:ns|µs|ms|s)\b)?", "0", text)
    return re.sub(r"[\s─]+", " ", text).strip()


def command_lines(block: Block) -> Iterator[str]:
    """The lines of a block that are calls of wallsocket, without what is said about them at their right."""
    for line in block.text.splitlines():
        if re.match(r"(?:\$ )?wallsocket ", line):
            yield re.split(r" {3,}|\s+# ", line.removeprefix("$ "))[0]


def misuse(line: str) -> str:
    """What click says against a command line, or nothing."""
    words = shlex.split(line)[1:]
    if not words:
        return ""
    words = words[: next((at for at, word in enumerate(words) if word in ("|", ">", "&&", "||", "&", ";")), len(words))]
    name, *arguments = words
    try:
        if name.startswith("-"):
            return ""
        context = click.Context(cli.commands, info_name="wallsocket")
        command: click.Command = cli.commands
        while isinstance(command, click.Group):
            if name.startswith("-"):
                return ""
            found, inner, arguments = command.resolve_command(context, [name, *arguments])
            if inner is None or found is None:
                return f"no command {name}"
            command = inner
            context = click.Context(command, context, info_name=found)
            if not isinstance(command, click.Group):
                break
            if not arguments:
                return ""
            name, *arguments = arguments
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        used = {re.split("=", word)[0] for word in arguments[: _own(arguments)] if word.startswith("--")}
        return f"no option {', '.join(sorted(used - known))}" if used - known - {"--help"} else ""
    except click.ClickException as error:
        return error.format_message()


def _own(arguments: list[str]) -> int:
    return arguments.index("--") if "--" in arguments else len(arguments)


def unreadable(block: Block) -> str:
    """Why the data of a block cannot be read, or nothing."""
    try:
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            json.loads(block.text)
    except ValueError as error:
        return str(error)
    return ""


def rewritten(page: Path) -> str:
    """The page with what its commands print now, wherever it shows something else."""
    with tempfile.TemporaryDirectory() as folder:
        done = run(page, Path(folder))
    text = page.read_text(encoding="utf-8")
    for one in done:
        if one.command.shown and complaint(one):
            print(complaint(one).partition("\n")[0], file=sys.stderr)
            typed = f"$ {one.command.text}".splitlines()
            printed = [_UNLIKE.sub("…", line) for line in one.printed.rstrip("\n").splitlines()]
            text = text.replace("\n".join([*typed, *one.command.shown]), "\n".join([*typed, *printed]))
    return text


if __name__ == "__main__":
    print(rewritten(Path(sys.argv[1]).resolve()), end="")
