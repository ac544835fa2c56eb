"""Whom to look at: a process number, whoever has a port, processes by name, or those of a container."""

from __future__ import annotations

import difflib
import os
from pathlib import PurePosixPath
from typing import Final

import msgspec

from ...errors import UsageError
from ...kernel import here
from ...kernel.refusal import as_root
from ...kernel.sockets import command_of
from .. import containers
from . import sockets

__all__ = ["Target", "has_ended", "resolve"]

#: More processes of one name than this are more than anybody can read.
_MAX_PROCESSES: Final = 32
#: Other network namespaces that a port is looked for in.
_MAX_NAMESPACES: Final = 64
_OWNERS_S: Final = 0.3
#: What stands before the name or id of a container.
_CONTAINER: Final = "container:"


class Target(msgspec.Struct, frozen=True):
    """Who is meant.

    Attributes:
        pids: the processes; empty when the port's owners are hidden from this user.
        port: when a port was asked for.
        notes: what has to be said about the choice.

    """

    pids: tuple[int, ...]
    port: int | None = None
    notes: tuple[str, ...] = ()


def resolve(target: str, *, children: bool = False) -> Target:
    """Find the processes.

    Args:
        target: ``4711``, ``:8080``, ``nginx`` (a program, a script, a module) or ``container:NAME``.
        children: and all processes that they started, without those that are looking.

    Raises:
        UsageError: there is no such process, nobody has the port, or too many have the name.

    """
    found = _resolve(target.strip())
    if not children:
        return found
    pids = _with_descendants(found.pids)
    return Target(tuple(pids[:_MAX_PROCESSES]), found.port, (*found.notes, *_too_many(pids, "were started by it")))


def _resolve(target: str) -> Target:
    if target.startswith(":"):
        return _by_port(target)
    if target.startswith(_CONTAINER):
        pids = containers.processes(target.removeprefix(_CONTAINER))
        return Target(pids[:_MAX_PROCESSES], notes=_too_many(list(pids), "run in it"))
    if target.isdecimal():
        return _by_number(int(target))
    if not target:
        raise UsageError("name a process: its number, a port as :8080, or a name")
    return _by_name(target)


def _by_number(pid: int) -> Target:
    status = _status(pid)
    if status is None:
        raise UsageError(f"there is no process {pid}")
    if status.get("State", "").startswith("Z"):
        raise UsageError(f"process {pid} has ended; its parent has not taken note yet")
    group = int(status.get("Tgid", pid))
    if group != pid:
        return Target((group,), notes=(f"{pid} is a thread of process {group}",))
    return Target((pid,))


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for its parent to take note."""
    status = _status(pid)
    return status is None or status.get("State", "").startswith(("Z", "X"))


def _status(pid: int) -> dict[str, str] | None:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}
    except OSError:
        return None


def _by_port(text: str) -> Target:
    number = text[1:]
    if not number.isdecimal() or not 0 < int(number) < 65536:
        raise UsageError(f"{text}: a port is written as :8080, with a number from 1 to 65535")
    port = int(number)
    own = sockets.namespace("self") or 0
    picture = sockets.take({own: os.getpid()}, 0, port=port)
    here_found = _on_port(picture, port)
    inodes = {seen.key[1] for seen in here_found if seen.key[1]}
    owners = here.owners(inodes, timeout_s=_OWNERS_S)
    pids = sorted({owner.pid for held in owners.by_inode.values() for owner in held})
    if pids:
        return Target(tuple(pids[:_MAX_PROCESSES]), port, _too_many(pids))
    if here_found:
        users = ", ".join(str(uid) for uid in sorted({seen.uid for seen in here_found if seen.uid is not None}))
        return Target(
            (),
            port,
            (
                f"port {port} belongs to a process of user id {users or 'unknown'} that you may not look into: run as "
                f"that user, or {as_root(f'inspect {text}')} (CAP_SYS_PTRACE); without it only the sockets are seen",
            ),
        )
    elsewhere = _elsewhere(port, own)
    if elsewhere:
        return Target(tuple(elsewhere[:_MAX_PROCESSES]), port, _too_many(elsewhere))
    ports = sorted({seen.local.port or 0 for seen in picture.all if seen.listens and seen.local and seen.local.port})
    known = ", ".join(map(str, ports[:12])) + (" …" if len(ports) > 12 else "")
    raise UsageError(f"nobody has port {port} in this network namespace (TCP listeners: {known or 'none'})")


def _on_port(picture: sockets.Picture, port: int) -> list[sockets.Seen]:
    found = [seen for seen in picture.all if seen.local is not None and seen.local.port == port]
    return [seen for seen in found if seen.protocol in ("tcp", "udp")]


def _elsewhere(port: int, own: int) -> list[int]:
    """Processes in other network namespaces, as far as this user may look, that have a socket on the port."""
    processes: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        number = sockets.namespace(name) if name.isdigit() else None
        if number is not None and number != own:
            processes.setdefault(number, []).append(int(name))
    found = []
    for number, pids in list(processes.items())[:_MAX_NAMESPACES]:
        seen = _on_port(sockets.take({number: pids[0]}, 0), port)
        wanted = {f"socket:[{one.key[1]}]" for one in seen}
        for pid in pids if wanted else ():
            try:
                if wanted & set(sockets.descriptors(pid).values()):
                    found.append(pid)
            except PermissionError:
                continue
    return sorted(found)


def _by_name(name: str) -> Target:
    ours = _ancestors()
    named: dict[int, set[str]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) not in ours:
            named[int(entry)] = _names(int(entry))
    pids = sorted(pid for pid, words in named.items() if name in words)
    if not pids:
        known = sorted({word for words in named.values() for word in words})
        near = difflib.get_close_matches(name, known, 3)
        hint = f" (there is: {', '.join(near)})" if near else "; a port is written as :8080"
        raise UsageError(f"no process is called {name!r}{hint}")
    if len(pids) > _MAX_PROCESSES:
        raise UsageError(
            f"{len(pids)} processes are called {name!r}: name one by its number, such as {pids[0]}, or by a port"
        )
    return Target(tuple(pids))


def _too_many(pids: list[int], why: str = "have the port") -> tuple[str, ...]:
    more = len(pids) - _MAX_PROCESSES
    return (f"{more} more processes {why} and are not shown",) if more > 0 else ()


def _with_descendants(pids: tuple[int, ...]) -> list[int]:
    """The processes, and those that they started and that still run; the nearest first."""
    started: dict[int, list[int]] = {}
    ours = _ancestors()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in ours:
            status = _status(int(name))
            if status is not None and not status.get("State", "").startswith("Z"):
                started.setdefault(int(status.get("PPid", 0)), []).append(int(name))
    found = list(pids)
    for pid in found:
        found += sorted(child for child in started.get(pid, ()) if child not in found)
    return found


def _ancestors() -> set[int]:
    """This process and what started it: their command lines name the target, but are not meant."""
    found = set()
    pid = os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        status = _status(pid)
        pid = int(status.get("PPid", 0)) if status is not None else 0
    return found


def _names(pid: int) -> set[str]:
    """What people call a process: its command name, its script or module with and without extension."""
    found = {command_of(pid)}
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            found.add(file.read().rstrip("\n"))
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            first = file.read(4096).split(b"\0")[0]
    except OSError:
        return found - {"?"}
    found.add(PurePosixPath(os.fsdecode(first)).name)
    found |= {PurePosixPath(word).stem for word in found if word.endswith((".py", ".js", ".rb", ".pl", ".php"))}
    return found - {"", "?"}
