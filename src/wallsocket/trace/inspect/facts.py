"""What surrounds the waits, as facts of a recording: the rules read them through their trackers.

Kinds, each with its JSON value; processes are those of the recording, ``pid`` and ``tid`` the kernel's:

- ``attached``: as of a trace that was attached: threads, and what epoll instances watch.
- ``accept-queue`` of a listener: ``queue`` connections wait, ``stood`` of them in an earlier picture too and for half a
  second or more, ``waited_ms`` at least; ``unread`` bytes have come on them; ``clients``: the sockets at their other ends.
- ``lock``: a thread in futex(2): ``word``, ``owner`` (glibc mutexes), ``likely`` (of Python: the thread that is further on
  in the function that waits, or the only one that does not wait for the lock), ``sole`` (no other thread is in the
  process), ``forked``, ``private``, ``limited``.
- ``pipe``: a thread in a call on a pipe, or that polls pipes alone: ``writes``, and the ``holders`` of the other end;
  ``parent`` and ``session`` of its process.
- ``due``: an asyncio ``task`` whose next step is due while the thread ``tid`` of its loop sleeps in epoll_wait; where it
  stands: ``file``, ``line``.
- ``other-end`` of a socket that a thread reads from: ``holders`` of the socket at the other end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..._core import python
from ...kernel.sockets import command_of
from ..syscalls import EPOLL_WAITS, POLLS, READS, WRITES
from . import threads as _threads
from .sockets import Key, Picture, Seen
from .surroundings import End, lineage
from .threads import Wait

__all__ = ["Fact", "Process", "accept_queues", "due", "locks", "other_ends", "pipe_of", "pipes", "watches"]

_MAX_THREADS = 1024
_MAX_CLIENTS = 64
#: A connection that has waited to be accepted for so long stands: a program that is only busy comes to it before.
_STANDS_MS = 500
_POLLOUT = 4


class Fact(NamedTuple):
    """A row of the table: its kind, its value, and the socket that it is of."""

    kind: str
    value: dict[str, Any]
    socket: Key | None = None


class Process(NamedTuple):
    """A process that was looked at: its number in the recording, what its threads wait in, and its descriptors."""

    id: int
    pid: int
    waits: Mapping[int, Wait | None]
    names: Mapping[int, str]
    stacks: Mapping[int, python.Stack]
    switches: Mapping[int, int | None] = {}  #: how often each thread had been switched when its wait was read


def watches(process: Process) -> Fact:
    """The threads of a process and what its epoll instances watch."""
    epolls = [
        {"fd": number, "watches": [{"fd": one, "events": events} for one, events in found]}
        for number, name in process.names.items()
        if name == "anon_inode:[eventpoll]" and (found := _threads.watched(process.pid, number))
    ]
    return Fact("attached", {"process": process.id, "threads": list(process.waits)[:_MAX_THREADS], "epolls": epolls})


def accept_queues(pictures: list[Picture], concerned: Mapping[Key, int]) -> Iterator[Fact]:
    """Listeners with connections that nobody has accepted."""
    last = pictures[-1]
    for key in concerned:
        listener = last.by_key.get(key)
        if listener is None or not listener.listens or not listener.receive_queue:
            continue
        now = last.queued(listener, _MAX_CLIENTS)
        earlier = pictures[0].by_key.get(key)
        before = {_name(one) for one in pictures[0].queued(earlier, 1 << 20)} if earlier is not None else set()
        between_ms = (last.at_ns - pictures[0].at_ns) // 1_000_000
        # Nothing was sent on them: the time counts from when they were made (tcp_create_openreq_child).
        waits = {
            _name(one): max(between_ms, one.measure("last_data_sent_ms") or 0) for one in now if _name(one) in before
        }
        waited = [waited_ms for waited_ms in waits.values() if waited_ms >= _STANDS_MS]
        clients = [(one.peer, last.peer(one)) if listener.protocol == "tcp" else (one.local, one) for one in now]
        value = {
            "queue": listener.receive_queue,
            "stood": len(waited),
            "waited_ms": max(waited, default=0),
            "unread": sum(one.receive_queue or 0 for one in now) if listener.protocol == "tcp" else 0,
            "clients": [
                {"socket": concerned.get(other.key) if other is not None and other.key[1] else None, "from": str(where)}
                for where, other in clients
            ],
        }
        yield Fact("accept-queue", value, key)


def _name(queued: Seen) -> object:
    return queued.key[1] or str(queued.peer)


def due(process: Process, tasks: Iterable[python.Task]) -> Iterator[Fact]:
    """Tasks that are ready to go on, and whose loop has not been told."""
    for task in tasks:
        if task.state != "ready" or task.epoll is None:
            continue
        for tid, wait in process.waits.items():
            if wait is None or wait.call not in EPOLL_WAITS or wait.fd != task.epoll:
                continue
            # It slept before the task was looked at, and has not woken up since.
            if process.switches.get(tid) == _threads.switches(process.pid, tid):
                frame = task.top
                where = {"file": frame.file if frame else None, "line": frame.line if frame else None}
                yield Fact("due", {"process": process.id, "tid": tid, "task": task.name[:64], **where})


def locks(process: Process) -> Iterator[Fact]:
    """The threads that wait for a lock."""
    tids = set(process.waits)
    waiting = {tid: wait for tid, wait in process.waits.items() if wait is not None and wait.lock is not None}
    origin = lineage(process.pid) if waiting else None
    for tid, wait in waiting.items():
        lock = wait.lock
        assert lock is not None
        place = _place(process.stacks.get(tid))
        if lock.owner is None and place is None:
            continue  # whether it is a lock at all is not known: it may be any other way of waiting for a thread
        value = {
            "process": process.id,
            "tid": tid,
            "word": lock.word,
            "owner": lock.owner,
            "likely": None if place is None or lock.owner is not None else _likely(process, tid, lock.word, place),
            "private": lock.private,
            "limited": wait.timeout_s is not None or not wait.timeout_known,
            "sole": tids == {tid},
            "forked": origin is not None and origin.forked,
            "known": lock.owner in tids,
        }
        yield Fact("lock", value)


def _place(stack: python.Stack | None) -> python.Frame | None:
    """Where Python code takes a lock; ``None``: it waits for something else, such as an event, a queue or a thread's end."""
    for frame in stack.frames if stack is not None else ():
        if not frame.file.endswith("/threading.py"):
            return None if frame.file.endswith(("/queue.py", "/concurrent/futures/thread.py")) else frame
        if not frame.function.endswith(".__enter__"):
            return None
    return None


def _likely(process: Process, tid: int, word: int, place: python.Frame) -> int | None:
    """The thread that is further on in the function that waits, or else the only one that does not wait for the lock."""
    found = _further(process, tid, word, place)
    others = [
        other for other, wait in process.waits.items() if wait is None or wait.lock is None or wait.lock.word != word
    ]
    return others[0] if found is None and len(others) == 1 else found


def _further(process: Process, tid: int, word: int, place: python.Frame) -> int | None:
    """The only thread that is in the same function, behind the line that waits, and does not wait for the same lock."""
    found = []
    for other, stack in process.stacks.items():
        wait = process.waits.get(other)
        same = wait is not None and wait.lock is not None and wait.lock.word == word
        if other != tid and not same and any(_is_behind(frame, place) for frame in stack.frames):
            found.append(other)
    return found[0] if len(found) == 1 else None


def _is_behind(frame: python.Frame, place: python.Frame) -> bool:
    return (frame.file, frame.function) == (place.file, place.function) and (frame.line or 0) > (place.line or 0)


def pipes(process: Process, ends: Mapping[str, list[End]], complete: bool, ids: Mapping[int, int]) -> Iterator[Fact]:
    """The threads in calls on pipes, and who holds the other ends. ``ids``: processes of the recording by pid."""
    for tid, wait in process.waits.items():
        name, writes = pipe_of(wait, process.names) if wait is not None else (None, False)
        if wait is None or name is None or name not in ends:
            continue
        pids = dict.fromkeys(end.pid for end in ends[name] if (end.reads if writes else end.writes))
        origin = lineage(process.pid)
        yield Fact(
            "pipe",
            {
                "process": process.id,
                "tid": tid,
                "pipe": name,
                "writes": writes,
                "complete": complete,
                "polls": wait.call in POLLS,
                "sole": len(process.waits) == 1,
                "limited": wait.timeout_s is not None,
                "parent": origin.parent if origin is not None else None,
                "session": origin.session if origin is not None else None,
                "holders": [_holder(pid, ids) for pid in pids],
            },
        )


def pipe_of(wait: Wait, names: Mapping[int, str]) -> tuple[str | None, bool]:
    """The pipe that a thread reads, writes or polls (and nothing else), and whether to write; ``None``: it does not."""
    if wait.call in READS | WRITES:
        name = names.get(wait.fd) if wait.fd is not None else None
        return (name, wait.call in WRITES) if name is not None and name.startswith("pipe:") else (None, False)
    watched = [(names.get(descriptor, ""), events) for descriptor, events in wait.watched]
    if wait.call not in POLLS or not watched or not all(name.startswith("pipe:") for name, _ in watched):
        return None, False
    name, events = watched[0]
    return name, bool(events & _POLLOUT)


def other_ends(
    process: Process,
    keys: Mapping[int, Key],
    picture: Picture,
    owners: Mapping[Key, tuple[int, ...]],
    ids: Mapping[int, int],
) -> Iterator[Fact]:
    """The sockets at the other ends of those that threads read from, and who holds them."""
    for wait in process.waits.values():
        key = keys.get(wait.fd) if wait is not None and wait.fd is not None and wait.call in READS else None
        seen = picture.by_key.get(key) if key is not None else None
        other = picture.peer(seen) if seen is not None else None
        if key is None or other is None or not other.key[1]:
            continue
        listening = _listener(picture, other)
        yield Fact(
            "other-end",
            {
                "holders": [_holder(pid, ids) for pid in owners.get(other.key, ())],
                "listening": [_holder(pid, ids) for pid in owners.get(listening, ())] if listening is not None else [],
            },
            key,
        )


def _listener(picture: Picture, accepted: Seen) -> Key | None:
    found = picture.listener(accepted)
    return found.key if found is not None else None


def _holder(pid: int, ids: Mapping[int, int]) -> dict[str, Any]:
    origin = lineage(pid)
    return {
        "process": ids.get(pid),
        "pid": pid,
        "command": command_of(pid),
        "parent": origin.parent if origin is not None else None,
        "session": origin.session if origin is not None else None,
        "forked": origin is not None and origin.forked,
    }
