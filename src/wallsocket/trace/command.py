"""The command that is traced: which file it is, as whom it runs, and what it inherits."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import shutil
import signal
import stat
from collections.abc import Sequence
from typing import Final

from ..errors import NotPermitted, NotStarted, UsageError

__all__ = ["closed_streams", "credentials", "ignored_unseen", "program_file"]

#: Programs that leave the dispositions of signals as they are for what they start; Python, Node.js and others do not.
_HANDS_ON: Final = frozenset(
    {"sh", "ash", "bash", "busybox", "dash", "ksh", "zsh", "env", "make", "nice", "timeout", "xargs"}
)


def ignored_unseen() -> list[int]:
    """Which signals this process was given as ignored, of those whose disposition does not reach the guardian.

    Signals 32 and 33 glibc keeps for itself: ``make`` and others start their jobs by posix_spawn(3), which leaves them
    ignored; Python's ``signal`` does not name them. SIGPIPE and SIGXFSZ Python ignores itself, before any code can look:
    a parent that hands its own dispositions on, such as a shell, tells what they were.
    """
    own, parent = _signals_ignored("self"), _signals_ignored(str(os.getppid()))
    ignored = [number for number in (32, 33) if own[1] >> (number - 1) & 1]
    if parent[0] in _HANDS_ON:
        ignored += [number for number in (signal.SIGPIPE, signal.SIGXFSZ) if parent[1] >> (number - 1) & 1]
    return ignored


def closed_streams(files: Sequence[tuple[int, int]]) -> list[int]:
    """Which of 0, 1 and 2 a command that this process starts finds closed, but for those that it is given."""
    closed = []
    for number in {0, 1, 2}.difference(given for _, given in files):
        inherited = False
        with contextlib.suppress(OSError):
            inherited = os.get_inheritable(number)
        if not inherited:
            closed.append(number)
    return sorted(closed)


def _signals_ignored(pid: str) -> tuple[str, int]:
    """Name of a process, and its ignored signals: bit n - 1 for signal n."""
    name, ignored = "", 0
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", errors="replace") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key == "Name":
                name = value.strip()
            elif key == "SigIgn":
                ignored = int(value, 16)
    return name, ignored


def credentials(user: str | None) -> tuple[int, int, list[int]] | None:
    """Uid, gid and groups of a user, by name or number; ``None``: as this process.

    Raises:
        NotPermitted: this process is not root's.
        UsageError: there is no such user.

    """
    if user is None:
        return None
    if os.geteuid() != 0:
        raise NotPermitted(f"-u {user}: only root can run a command as another user")
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        raise UsageError(f"-u {user}: there is no such user") from None
    groups = [group.gr_gid for group in grp.getgrall() if entry.pw_name in group.gr_mem]
    return entry.pw_uid, entry.pw_gid, sorted({entry.pw_gid, *groups})


def program_file(name: str, *, privileged: bool) -> str:
    """The path of the program file, as a shell would find it.

    Raises:
        NotStarted: there is none, or it would gain privileges that a traced program is not granted.

    """
    if "/" in name:
        path = name
        if not os.path.lexists(path):
            raise NotStarted(f"{name}: no such file", 127)
    else:
        found = shutil.which(name)
        if found is None:
            # A file that is there but may not be executed deserves its own word.
            for folder in os.get_exec_path():
                candidate = os.path.join(folder or ".", name)
                if os.path.isfile(candidate):
                    raise NotStarted(f"{candidate}: not executable (permission denied)", 126)
            raise NotStarted(f"{name}: command not found in PATH", 127)
        path = found
    try:
        status = os.stat(path)
    except OSError as error:
        raise NotStarted(f"{path}: {error.strerror}", 127 if error.errno == errno.ENOENT else 126) from error
    if stat.S_ISDIR(status.st_mode):
        raise NotStarted(f"{path}: is a directory", 126)
    if not os.access(path, os.X_OK):
        raise NotStarted(f"{path}: not executable (permission denied)", 126)
    if not privileged:
        gains = _privileges_gained(path, status)
        if gains is not None:
            raise NotStarted(
                f"{path}: {gains}, which the kernel does not grant to a traced program (ptrace(2), PR_SET_NO_NEW_PRIVS): "
                "it would not behave as usual; trace it as root, with -u USER",
                126,
            )
    return path


def _privileges_gained(path: str, status: os.stat_result) -> str | None:
    if status.st_mode & stat.S_ISUID and status.st_uid != os.geteuid():
        return "is set-uid"
    if status.st_mode & stat.S_ISGID and status.st_mode & stat.S_IXGRP and status.st_gid not in os.getgroups():
        return "is set-gid"
    with contextlib.suppress(OSError):
        os.getxattr(path, "security.capability")
        return "has file capabilities"
    return None
