"""One name for a program in all views: its script, module or main class where an interpreter runs it, else its own."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Final

from .._core import kernel as _core

__all__ = ["UNKNOWN", "command_words", "label", "name", "name_of_command", "telling"]

#: What a program without a name is called.
UNKNOWN: Final = "unknown program"
#: Characters of a recorded command that are read for a name; an argument vector may have megabytes (execve(2)).
_MAX_COMMAND: Final = 1 << 20
#: Words that are looked at; no program has more options before its script.
_MAX_WORDS: Final = 256


def name(words: Sequence[str], executable: str | None = None) -> str:
    """Return what people call a program.

    Args:
        words: its argument vector; what follows the script is not looked at.
        executable: path of the program's file, or the name that the kernel has for it (proc_pid_comm(5)): for a process
            without an argument vector, and for one that has written a text over it.

    Returns:
        ``server.py`` for ``python3 -u server.py``, ``http.server`` for ``python3 -m http.server``, ``Shop`` for
        ``java -cp . com.example.Shop``, ``bash`` for ``bash -c …``, ``nginx`` for ``/usr/sbin/nginx``, ``redis-server``
        for ``redis-server *:6379``; empty when nothing is known. It is as the program gave it: escape it where it is shown.
    """
    found, _ = _core.program(_clean(words), *_clean([executable] if executable else []))
    return found or os.path.basename(executable or "")


def telling(words: Sequence[str]) -> list[str]:
    """Return the words of an argument vector that tell its name; the others may be secrets."""
    _, positions = _core.program(_clean(words))
    return [words[position] for position in positions]


def command_words(command: str | None) -> list[str]:
    """Return the words of a recorded command, a JSON array; empty when it is no such array."""
    if not command or len(command) > _MAX_COMMAND:
        return []
    try:
        words = json.loads(command)
    except (ValueError, RecursionError):
        return []
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else []


def name_of_command(command: str | None, executable: str | None = None) -> str:
    """Return the name of a recorded process, from its command and the path of its file; empty when unknown."""
    return name(command_words(command), executable)


def label(name: str, pid: int | None) -> str:
    """Return a process as all views write it: ``server.py (pid 7)``, ``unknown program (pid 7)``."""
    return f"{name or UNKNOWN} (pid {pid})" if pid is not None else name or UNKNOWN


def _clean(words: Sequence[str]) -> list[str]:
    """Words that are UTF-8: what was not when it was read stands as a question mark."""
    return [word.encode("utf-8", "replace").decode() for word in words[:_MAX_WORDS]]
