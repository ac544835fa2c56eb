"""How a student's file is run: a shebang line or the suffix tells."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from ...errors import UsageError
from ...trace.text import escape

__all__ = ["SUFFIXES", "command_of"]

#: Suffix to the tool that runs or compiles it; Python is the one that runs this.
SUFFIXES: Final[dict[str, str]] = {
    ".py": "python3",
    ".js": "node",
    ".mjs": "node",
    ".rb": "ruby",
    ".pl": "perl",
    ".sh": "sh",
    ".c": "gcc",
    ".go": "go",
}
#: A compiler is given up after so long.
_COMPILE_S: Final = 120.0
_MAX_SHEBANG: Final = 256


def command_of(path: Path, build: Path) -> list[str]:
    """What runs the file; compiled programs are built into the folder ``build``.

    A shebang line is followed as the kernel would (execve(2)), whether or not the file may be executed; without one the suffix
    decides. C is compiled with debug information, which leads findings to lines.

    Raises:
        UsageError: there is no such file, nothing tells how to run it, its tool is not installed, or it does not compile.

    """
    name = escape(str(path))
    if path.is_dir():
        raise UsageError(f"{name} is a directory; name the file of the program")
    if path.exists() and not path.is_file():
        # To open a FIFO would wait for whoever writes to it.
        raise UsageError(f"{name} is a device, a FIFO or a socket; name the file of the program")
    try:
        with path.open("rb") as file:
            head = file.readline(_MAX_SHEBANG)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from error
    full = str(path.resolve())
    if head.startswith(b"#!"):
        words = head[2:].decode(errors="replace").strip().split(None, 1)
        if not words:
            raise UsageError(f"{name}: its first line names no interpreter")
        if shutil.which(words[0]) is None:
            raise UsageError(f"{name}: its first line names {escape(words[0])}, which is not installed")
        if path.suffix == ".py" and "python" in head.decode(errors="replace"):
            _check_python(path)
            return [sys.executable, full]
        return [*words, full] if os.path.basename(words[0]) != "env" else [*shlex.split(" ".join(words)), full]
    tool = SUFFIXES.get(path.suffix)
    if tool is None:
        if head.startswith(b"\x7fELF") and os.access(path, os.X_OK):
            return [full]
        known = ", ".join(SUFFIXES)
        raise UsageError(
            f"{name}: nothing tells how to run it; give it a first line #!… or one of the suffixes {known}"
        )
    if tool == "python3":
        _check_python(path)
        return [sys.executable, full]
    if shutil.which(tool) is None:
        raise UsageError(f"{name} needs {tool}, which is not installed")
    if tool == "node":
        _run_compiler(path, ["node", "--check", full])
        return ["node", full]
    if tool == "gcc":
        program = str(build / path.stem)
        _run_compiler(path, ["gcc", "-g", "-O0", "-pthread", "-o", program, full])
        return [program]
    if tool == "go":
        program = str(build / path.stem)
        _run_compiler(path, ["go", "build", "-o", program, full])
        return [program]
    return [tool, full]


def _check_python(path: Path) -> None:
    try:
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        line = f":{error.lineno}" if error.lineno is not None else ""
        raise UsageError(f"{escape(str(path))}{line}: {type(error).__name__}: {escape(error.msg)}") from error
    except ValueError as error:
        raise UsageError(f"{escape(str(path))}: {error}") from error


def _run_compiler(path: Path, words: list[str]) -> None:
    name, full = escape(str(path)), str(path.resolve())
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=_COMPILE_S)
    except subprocess.TimeoutExpired:
        raise UsageError(f"{name}: {words[0]} did not finish within {_COMPILE_S:.0f} s") from None
    if done.returncode:
        lines = [line.strip().replace(full, path.name) for line in done.stderr.splitlines() if line.strip()]
        telling = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
        # Node.js says the place first and the error some lines later.
        where = next((line for line in lines if line.startswith(f"{path.name}:")), "")
        text = telling if path.name in telling or not where else f"{where}: {telling}"
        raise UsageError(f"{name} does not compile: {escape(text)}")
