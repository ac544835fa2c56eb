"""Which processes of this machine a container is, by the name or id that its engine gave it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import Final, NamedTuple

from ..errors import NotAvailable, UsageError
from .text import escape

__all__ = ["processes"]

#: Who can be asked for a name.
_ENGINES: Final = ("podman", "docker", "nerdctl")
_ANSWER_S: Final = 10.0
#: What people give of an id: at least what `ps` of an engine prints.
_ID: Final = re.compile(r"[0-9a-f]{12,64}")
#: How engines name the control group of a container: ``docker/ID``, ``docker-ID.scope``, ``libpod-ID``, ``crio-ID``,
#: ``cri-containerd-ID.scope``. What podman starts beside it (``libpod-conmon-ID``) is not in the container.
_IN_CGROUP: Final = re.compile(r"(?:^|[/:-])(?<!conmon-)([0-9a-f]{64})(?:\.scope)?(?:/|$)")


class _Told(NamedTuple):
    """What an engine says of a container."""

    id: str
    pid: int


def processes(container: str) -> tuple[int, ...]:
    """The processes of a running container, its first one first, with their numbers out here.

    Args:
        container: its name, or its id, or the first twelve digits or more of that.

    Raises:
        UsageError: there is no such container, or it does not run.
        NotAvailable: it is given by name, and no engine is here to ask.
    """
    told = None if _ID.fullmatch(container) and _members(container) else _ask(container)
    found = _members(told.id if told is not None else container)
    if told is None:
        return tuple(found)
    # The engine may have been told to make no control group.
    return tuple(dict.fromkeys([told.pid, *(found or _in_namespace_of(told.pid))]))


def _ask(container: str) -> _Told:
    here = [name for name in _ENGINES if shutil.which(name) is not None]
    if not here:
        raise NotAvailable(
            f"--container {escape(container)}: no {', '.join(_ENGINES[:-1])} or {_ENGINES[-1]} is here to ask, and no process "
            "runs in a control group of that id; -p PID takes a process of it"
        )
    said = []
    for name in here:
        words = [name, "inspect", "--type", "container", "--format", "{{.Id}} {{.State.Pid}}", "--", container]
        try:
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=_ANSWER_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            said.append(f"{name}: {error}")
            continue
        answer = done.stdout.split()
        if done.returncode == 0 and len(answer) == 2 and answer[1].isdecimal():
            if answer[1] == "0":
                raise UsageError(f"--container {escape(container)}: it does not run")
            return _Told(answer[0], int(answer[1]))
        said.append(f"{name}: " + (done.stderr.strip().splitlines() or ["no answer"])[-1])
    raise UsageError(f"--container {escape(container)}: {escape('; '.join(said))}")


def _running() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def container_in(cgroups: str) -> str | None:
    """The id of the container whose control group stands in ``/proc/PID/cgroup`` (cgroups(7)); ``None``: in none."""
    for line in cgroups.splitlines():
        found = _IN_CGROUP.search(line)
        if found is not None:
            return found[1]
    return None


def _members(id: str) -> list[int]:
    found = []
    for pid in _running():
        try:
            with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
                inside = container_in(file.read())
        except OSError:
            continue
        if inside is not None and inside.startswith(id):
            found.append(pid)
    return found


def _in_namespace_of(pid: int) -> list[int]:
    """Processes in the same pid namespace, where that is not ours."""

    def namespace(of: int | str) -> str | None:
        try:
            return os.readlink(f"/proc/{of}/ns/pid")
        except OSError:
            return None

    wanted = namespace(pid)
    if wanted is None or wanted == namespace("self"):
        return []
    return [one for one in _running() if namespace(one) == wanted]
