"""The examples of the rules, recorded in each way: with stops, by the preloaded library, and attached to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from wallsocket.diagnose.play import Stage, command_of

__all__ = ["WAYS", "Alone", "Way", "findings"]

Way: TypeAlias = Literal["ptrace", "preload", "attach"]
WAYS: Final[tuple[Way, ...]] = ("ptrace", "preload", "attach")

#: Says its number where it runs, and becomes the program when it is attached to.
_WAITS: Final = 'echo "ready $$"; read go; exec "$@" </dev/null >/dev/null'
_TIMEOUT_S: Final = 200


class Alone(Stage):
    """A stage with a network of its own, for an example that needs no lab."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if not self.lab:
            self._document = {"hosts": {"one": {}}}
            self._example = {"host": "one"}


def findings(path: Path, way: Way, folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any], int | None]:
    """Play an example and record it that way; findings, the summary's line, and the program's status.

    Raises:
        UsageError: what runs or compiles it is not installed.

    """
    command = command_of(path, folder)
    explain = [sys.executable, "-m", "wallsocket", "explain", "--json", "-o", str(folder / f"{way}.wsrec")]
    environment = {**os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    with Alone(path.parent) as stage:
        if way != "attach":
            words = [*explain, "--via", way, "--", *command]
            done = stage.run(words, stdin=subprocess.DEVNULL, timeout=_TIMEOUT_S, **pipes)
            said, wrong = done.stdout, done.stderr
            status = None
        else:
            words = ["sh", "-c", _WAITS, "sh", *command]
            with stage.popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            ) as program:
                assert program.stdin is not None
                assert program.stdout is not None
                pid = program.stdout.readline().split()[1]
                with stage.popen([*explain, "-p", pid], **pipes) as recorder:
                    assert recorder.stderr is not None
                    wrong = recorder.stderr.readline()
                    assert "attached" in wrong, wrong + recorder.stderr.read()
                    program.stdin.write("go\n")
                    program.stdin.close()
                    said, more = recorder.communicate(timeout=_TIMEOUT_S)
                    wrong += more
                status = program.wait()
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert lines, wrong
    assert "summary" in lines[-1], wrong
    return [line for line in lines if "rule" in line], lines[-1], status
