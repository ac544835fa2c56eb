"""The examples of rules: which there are, and the place in which one is played.

An example is a program in ``examples/RULE-ID/``: ``broken.*``, ``healthy.*``, ``variant*.*``. Where a ``lab.toml`` stands
beside it, its programs run in hosts of that lab; the file is one of ``wallsocket lab up`` with a table ``[example]``:
``host``, where the program runs, and ``peers``, host to file, started before it.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from ..errors import UsageError
from ..trace.text import escape
from .rule import Rule

if TYPE_CHECKING:
    from ..lab.network import Lab

__all__ = [
    "EXAMPLES",
    "LANGUAGES",
    "Language",
    "Stage",
    "captured",
    "command_of",
    "example",
    "examples",
    "languages",
    "ready",
]

#: The folder of the examples.
EXAMPLES: Final = Path(__file__).parent / "examples"
#: How long a program may take until it says that it is ready.
_READY_S: Final = 60.0


def examples(rule: Rule) -> list[Path]:
    """The programs of a rule, by name."""
    folder = EXAMPLES / rule.id
    kinds = ("broken", "healthy", "variant")
    return sorted(path for path in folder.glob("*.*") if path.suffix in _SUFFIXES and path.stem.startswith(kinds))


def example(rule: Rule, language: Language = "python", *, healthy: bool = False) -> Path:
    """The program that is played: in Python, or with the same fault in another language.

    Raises:
        UsageError: there is none.

    """
    kinds = ("healthy",) if healthy else ("broken", "variant")
    suffix = LANGUAGES[language]
    found = [path for path in examples(rule) if path.suffix == suffix and path.stem.startswith(kinds)]
    if found:
        return found[0]
    what = "healthy example" if healthy else "example"
    others = [word for word in languages(rule, healthy=healthy) if word != language]
    if not others:
        raise UsageError(f"{rule.id} has no {what} that could be played")
    raise UsageError(f"{rule.id} has no {what} in {language}; there is one in {', '.join(others)}")


def languages(rule: Rule, *, healthy: bool = False) -> list[Language]:
    """In which languages a rule's broken program, or the healthy one, can be played."""
    kinds = ("healthy",) if healthy else ("broken", "variant")
    suffixes = {path.suffix for path in examples(rule) if path.stem.startswith(kinds)}
    return [language for language, suffix in LANGUAGES.items() if suffix in suffixes]


def command_of(path: Path, build: Path) -> list[str]:
    """What runs a program; C and Go are compiled into the folder ``build``.

    Raises:
        UsageError: its compiler or interpreter is not installed, or does not accept it.

    """
    if path.suffix == ".py":
        return [sys.executable, str(path)]
    tools, what = _TOOLS[path.suffix]
    tool = next((tool for tool in tools if shutil.which(tool) is not None), None)
    if tool is None:
        raise UsageError(f"{path.parent.name}/{path.name} needs {what}; {' or '.join(tools)} is not installed")
    if path.suffix == ".js":
        return [tool, str(path)]
    program = build / f"{path.parent.name}-{path.stem}"
    words = [tool, "build", "-o"] if tool == "go" else [tool, "-w", "-g", "-O1", "-pthread", "-o"]
    done = subprocess.run([*words, str(program), str(path)], capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise UsageError(f"{path.parent.name}/{path.name}: {tool} failed: {escape(said[-1])}")
    return [str(program)]


Language: TypeAlias = Literal["python", "c", "node", "go"]
#: Languages of examples, and the suffix of their files.
LANGUAGES: Final[dict[Language, str]] = {"python": ".py", "c": ".c", "node": ".js", "go": ".go"}
_SUFFIXES: Final = frozenset(LANGUAGES.values())
#: What runs or compiles a file, the first that is installed, and what it is.
_TOOLS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    ".c": (("gcc", "cc", "clang"), "a C compiler"),
    ".js": (("node", "nodejs"), "Node.js"),
    ".go": (("go",), "Go"),
}


def ready(process: subprocess.Popen[Any], what: str) -> None:
    """Wait until a program has printed a line that says ``ready``; its standard output must be a pipe.

    Raises:
        UsageError: it ended, or said nothing in time.

    """
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    deadline = time.monotonic() + _READY_S
    said = b""
    while b"ready" not in said:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise UsageError(f"{what} did not say that it is ready within {_READY_S:.0f} s")
        more = os.read(descriptor, 4096)
        if not more:
            raise UsageError(f"{what} ended before it was ready")
        said += more


#: After the program has ended: five times the latency of the capture's ring.
_LAST_FRAMES_S: Final = 0.1


def captured(stage: Stage, command: list[str], target: Path, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run a program on a stage of its own network, and write what travels there to a capture file.

    Raises:
        UsageError: capturing did not begin.

    """
    words = [sys.executable, "-m", "wallsocket", "capture", "-w", str(target)]
    with stage.popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as capture:
        assert capture.stderr is not None
        try:
            said = capture.stderr.readline()
            if not said.startswith(b"capturing"):
                raise UsageError(f"capturing did not begin: {said.decode(errors='replace').strip() or 'unknown'}")
            done = stage.run(command, **options)
            time.sleep(_LAST_FRAMES_S)
        finally:
            capture.send_signal(signal.SIGINT)
    return done


class Stage:
    """Where an example is played: here, or in a host of the lab that stands beside it; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._document: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError):
            self._document = tomllib.loads((folder / "lab.toml").read_text(encoding="utf-8"))
        self._example: dict[str, Any] = self._document.pop("example", {})
        self._net: Lab | None = None
        self._peers: list[subprocess.Popen[Any]] = []

    @property
    def lab(self) -> bool:
        """Whether it has a network of its own."""
        return bool(self._document)

    def __enter__(self) -> Self:
        if self.lab:
            from .. import lab

            self._net = lab.load(self._document)
            try:
                for host, file in self._example.get("peers", {}).items():
                    words = command_of(self._folder / file, self._folder)
                    peer = self._net[host].popen(words, stdout=subprocess.PIPE)
                    self._peers.append(peer)
                    ready(peer, file)
            except BaseException:
                self._net.close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._net is not None:
            self._net.close()
        for peer in self._peers:
            peer.wait()
            if peer.stdout is not None:
                peer.stdout.close()

    def popen(self, command: list[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on the stage."""
        if self._net is None:
            return subprocess.Popen(command, **options)
        return self._net[self._example["host"]].popen(command, **options)

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run a program on the stage to its end."""
        timeout = options.pop("timeout", None)
        check = options.pop("check", False)
        if options.pop("capture_output", False):
            options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with self.popen(command, **options) as process:
            try:
                out, error = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        done = subprocess.CompletedProcess(command, process.returncode, out, error)
        if check:
            done.check_returncode()
        return done
