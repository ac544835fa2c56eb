"""``wallsocket inspect``: what a running program's sockets wait for, without stopping it."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from . import options, terminal

if TYPE_CHECKING:
    from ..diagnose import Diagnosis
    from ..trace.inspect import Inspection, Socket, Task, Thread
    from ..trace.inspect.machine import Health
    from ..trace.inspect.tables import Tables

__all__ = ["command"]

_CLEAN: Final = 0
_FINDINGS: Final = 1
_COULD_NOT_LOOK: Final = 2
#: Lines of each kind that are printed; --json has all of them.
_MAX_LINES: Final = 24

#: Columns of a source line.
_MAX_CODE: Final = 100
#: Clients of an accept queue that are named; --json has more.
_MAX_CLIENTS: Final = 4

#: What people call the calls that the C library makes of recv() and send().
_COMMON: Final = {"recvfrom": "recv", "sendto": "send", "accept4": "accept", "epoll_pwait": "epoll_wait"}
#: Calls whose time limit is a socket option that nobody outside can read.
_LIMIT_IN_OPTION: Final = frozenset(
    "read readv recvfrom recvmsg recvmmsg write writev sendto sendmsg sendmmsg accept accept4 connect".split()
)


@click.command("inspect")
@click.argument("target", metavar="PID|:PORT|NAME", required=False)
@click.option("--container", metavar="ID", help="Look at a running container, by name or id, from outside.")
@click.option("--all", "everything", is_flag=True, help="Look at every socket; with a PID, of its network namespace.")
@click.option("--user", metavar="NAME", help="With --all: only what belongs to this user.")
@click.option(
    "--watch", "watch_s", type=options.DURATION, metavar="TIME", help="Keep looking for this time, such as 5s."
)
@click.option(
    "--stack", "stacks", is_flag=True, help="Print the whole stack of each thread: Python's, else the native one."
)
@click.option("--children", is_flag=True, help="Look at the processes that it started as well.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note", "never"]),
    default="error",
    show_default=True,
    help="Exit with status 1 when there is a finding of this severity, or worse.",
)
@options.code
@options.json
@options.quiet
def command(
    target: str | None,
    container: str | None,
    everything: bool,
    user: str | None,
    watch_s: float | None,
    stacks: bool,
    children: bool,
    fail_on: str,
    user_code: tuple[Path, ...],
    library: tuple[Path, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    """Say what running programs wait for, where in their code, and what their sockets are.

    \b
    wallsocket inspect 4711        a process
    wallsocket inspect :8080       whoever has that port
    wallsocket inspect store.py    every process of that name, program or script
    wallsocket inspect --container web
    wallsocket inspect --all       all sockets of the machine: only what looks wrong

    The processes at the other ends are looked at as well. Nothing is stopped: no ptrace, no signal. Exit
    status: 0 nothing at or above --fail-on, 1 findings, 2 could not look.
    """
    if container is not None:
        if target is not None or everything or user is not None:
            raise click.UsageError("--container stands alone: without PID|:PORT|NAME, --all and --user")
        target = f"container:{container}"
    if everything or target is None or user is not None:
        return _examine(target, everything, user, fail_on, as_json=as_json, quiet=quiet)
    from ..trace.inspect import inspect

    # The rules take a moment to load: that goes by while the pictures are taken.
    threading.Thread(target=_load, daemon=True).start()

    def diagnose(tables: Tables) -> Diagnosis:
        from ..diagnose.engine import diagnose

        return diagnose(tables)

    def report(left_s: float) -> None:
        click.echo(f"\rlooking for {left_s:.0f} s more …\x1b[K", err=True, nl=False)

    def show(seen: Inspection) -> None:
        for line in _lines(seen, diagnose(seen.tables), terminal.width(), stacks=stacks):
            click.echo(line)
        click.echo()
        sys.stdout.flush()

    progress = watch_s is not None and sys.stderr.isatty() and not quiet
    inspection = inspect(
        target,
        watch_s=watch_s,
        on_picture=report if progress else None,
        on_first=None if as_json or quiet else show,
        stacks=stacks,
        children=children,
        user_code=user_code,
        library=library,
    )
    if progress:
        click.echo("\r\x1b[K", err=True, nl=False)
    diagnosis = diagnose(inspection.tables)
    if as_json:
        _print_json(inspection, diagnosis)
    elif not quiet or diagnosis.findings:
        if watch_s is not None:
            click.echo(f"After {inspection.took_s:.1f} s:")
        for line in _lines(inspection, diagnosis, terminal.width(), stacks=stacks):
            click.echo(line)
    for note in inspection.notes if as_json or quiet else ():
        click.echo(f"wallsocket inspect: {_safe(note)}", err=True)
    if inspection.interrupted:
        click.echo(f"wallsocket inspect: ended by Ctrl-C after {inspection.took_s:.1f} s", err=True)
        raise KeyboardInterrupt
    if diagnosis.reaches(fail_on):
        return _FINDINGS
    return _COULD_NOT_LOOK if inspection.blind else _CLEAN


def _load() -> None:
    from ..diagnose.rules import picture_rules

    picture_rules()


def _examine(
    target: str | None, everything: bool, user: str | None, fail_on: str, *, as_json: bool, quiet: bool
) -> int:
    """Every socket of the machine, of a namespace or of a user."""
    from ..errors import UsageError
    from ..trace.inspect.machine import examine
    from ..trace.text import json_line

    if not everything:
        raise UsageError("name a process, a :PORT or a program, or look at all sockets with --all")
    if target is not None and not target.isdecimal():
        raise UsageError(
            f"with --all only a process number can be given, for its network namespace: {target!r} is none"
        )
    health = examine(user=_user(user), pid=int(target) if target is not None else None)
    if as_json:
        for sick in health.sick:
            sys.stdout.buffer.write(json_line({"sick": sick}) + b"\n")
        summary = {"sockets": health.sockets, "namespaces": health.namespaces, "took_s": round(health.took_s, 3)}
        sys.stdout.buffer.write(json_line({"summary": summary}) + b"\n")
        sys.stdout.buffer.flush()
    elif not quiet or health.sick:
        for line in _health_lines(health, terminal.width()):
            click.echo(line)
    for note in health.notes if as_json or quiet else ():
        click.echo(f"wallsocket inspect: {_safe(note)}", err=True)
    grave = {"error": ("error",), "warning": ("error", "warning"), "note": ("error", "warning", "note"), "never": ()}
    return _FINDINGS if any(sick.severity in grave[fail_on] for sick in health.sick) else _CLEAN


def _user(name: str | None) -> int | None:
    """The number of a user, given by name or number."""
    if name is None or name.isdecimal():
        return None if name is None else int(name)
    import pwd

    from ..errors import UsageError

    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise UsageError(f"no user is called {name!r}") from None


def _health_lines(health: Health, width: int) -> list[str]:
    from ..trace.text import Style, paint, wrap

    colour = terminal.has_colour()
    lines = []
    for sick in health.sick[:_MAX_LINES]:
        who = ", ".join(_who(_safe(one.command), one.pid) for one in sick.processes) or "holder unknown"
        style = Style.ERROR if sick.severity == "error" else Style.WARNING
        lines.append(paint(f"{sick.severity}: {sick.kind}", style, colour=colour) + f"  {who}")
        for text in (sick.why, sick.cause):
            lines += [f"  {line}" for line in wrap(_safe(text).split(" "), width - 2, "")] if text is not None else []
        more = ["in another network namespace"] if sick.namespace is not None else []
        more += [f"wallsocket inspect {sick.processes[0].pid}"] if sick.processes else []
        more += [f"wallsocket rule {sick.rule}"] if sick.rule is not None else []
        lines += [f"  {'; '.join(more)}"] if more else []
    if len(health.sick) > _MAX_LINES:
        lines.append(f"… and {len(health.sick) - _MAX_LINES} more: --json lists them")
    for note in health.notes:
        lines += [
            paint(line, Style.WARNING, colour=colour) for line in wrap(f"! {_safe(note)}".split(" "), width, "  ")
        ]
    spaces = f" in {health.namespaces} network namespaces" if health.namespaces > 1 else ""
    found = f"{len(health.sick)} sick" if health.sick else "nothing sick"
    lines.append(f"{health.sockets} sockets{spaces} looked at in {health.took_s:.1f} s: {found}")
    return lines


def _safe(text: str) -> str:
    from ..trace.text import escape

    return escape(text)


def _print_json(inspection: Inspection, diagnosis: Diagnosis) -> None:
    from ..trace.text import json_line

    stream = sys.stdout.buffer
    for kind, items in (
        ("thread", inspection.threads),
        ("task", inspection.tasks),
        ("socket", inspection.sockets),
    ):
        for item in items:
            stream.write(json_line({kind: item}) + b"\n")
    for line in diagnosis.json_lines():
        stream.write(line + b"\n")
    stream.flush()


def _lines(inspection: Inspection, diagnosis: Diagnosis, width: int, *, stacks: bool = False) -> list[str]:
    from ..diagnose.text import report
    from ..trace.text import Style, paint, wrap

    colour = terminal.has_colour()
    by_id = {socket.id: socket for socket in inspection.sockets}
    pids = _pids(inspection)
    concerned = {one.id for one in inspection.sockets if pids & {*one.pids, *one.peer_pids}}
    shown = [thread for thread in inspection.threads if not thread.peer or _on(thread) & concerned]
    lines = _limited([_thread_columns(thread, by_id) for thread in shown], width)
    for thread in shown if stacks else ():
        lines.append(f"stack of thread {thread.tid}" + ("" if thread.stack else ": unknown"))
        lines += [f"    {_safe(frame)}" for frame in thread.stack]
    tasks = [task for task in inspection.tasks if not task.peer or task.socket in concerned]
    lines += _limited([_task_columns(task, by_id) for task in tasks], width)
    lines += _limited(_socket_columns(inspection, by_id), width)
    lines += [
        f"CLOSE_WAIT of {_who(_safe(growth.command), growth.pid)}: {growth.first} → {growth.last} sockets "
        f"in {inspection.took_s:.1f} s"
        for growth in inspection.close_wait
    ]
    for note in inspection.notes:
        lines += [
            paint(line, Style.WARNING, colour=colour) for line in wrap(f"! {_safe(note)}".split(" "), width, "  ")
        ]
    if inspection.blind:
        return lines
    return [*lines, "", *report(diagnosis, width=width, colour=colour, recorded_s=inspection.tables.ended_at_s)]


def _pids(inspection: Inspection) -> set[int]:
    """Those that were asked for."""
    return {thread.pid for thread in inspection.threads if not thread.peer}


def _on(thread: Thread) -> set[int]:
    """Ids of the sockets that a thread waits for."""
    return {*thread.sockets, *([thread.socket] if thread.socket is not None else [])}


def _limited(rows: list[list[str]], width: int) -> list[str]:
    """Rows in columns, what does not fit under them; too many of them are counted."""
    from ..trace.text import column_width, wrap

    more = len(rows) - _MAX_LINES
    rows = rows[:_MAX_LINES] if more > 0 else rows
    count = max((len(row) for row in rows), default=0)
    cells = [[column_width(row[at]) for row in rows if at < len(row)] for at in range(count)]
    # One long cell does not push away what stands to its right in the other rows.
    widths = [max((wide for wide in column if wide <= width // 2), default=0) for column in cells]
    lines: list[str] = []
    for row in rows:
        line, below = row[0], row[1:]
        while below:
            at = len(row) - len(below)
            wider = line + " " * (sum(widths[:at]) + 2 * at - column_width(line)) + below[0]
            if column_width(wider.rstrip()) > width or (len(below) > 1 and column_width(below[0]) > widths[at]):
                break
            line, below = wider, below[1:]
        lines.append(line.rstrip())
        for cell in filter(None, below):
            lines += [f"    {part}" for part in wrap(cell.split(" "), width - 4, "  ")]
    return [*lines, f"… and {more} more: --json lists them"] if more > 0 else lines


def _ends(socket: Socket) -> str:
    local = _safe(socket.local or "unknown")
    if socket.peer is None:
        return local
    if socket.protocol == "unix":
        peer = f" (peer pid {socket.peer_pids[0]})" if socket.peer_pids else ""
        name = local if local != "unix:" else _safe(socket.peer)
        return f"{name if name != 'unix:' else 'a Unix socket pair'}{peer}"
    return f"{local} {'←' if socket.incoming else '→'} {_safe(socket.peer)}"


def _seconds(value: float) -> str:
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    minutes, _ = divmod(round(value), 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _who(command: str, pid: int) -> str:
    from ..kernel import program

    return program.label(command, pid)


def _thread_columns(thread: Thread, by_id: dict[int, Socket]) -> list[str]:
    who = _who(_safe(thread.command), thread.pid)
    named = thread.name is not None and thread.tid != thread.pid and thread.name not in (thread.command, "python3")
    return [
        who,
        f"thread {thread.tid}" + (f" {_safe(thread.name or '')}" if named else ""),
        _doing(thread, by_id),
        _place(thread),
    ]


def _doing(thread: Thread, by_id: dict[int, Socket]) -> str:
    if thread.call is None:
        return "call unknown: not permitted" if thread.hidden is not None else "runs"
    name = _COMMON.get(thread.call, thread.call)
    socket = by_id.get(thread.socket) if thread.socket is not None else None
    if socket is not None:
        text = f"{name} on {_ends(socket)}"
    elif len(thread.sockets) > 1:
        text = f"{name} on {len(thread.sockets)} sockets"
    elif name == "epoll_wait" and not thread.sockets:
        text = f"{name} on no socket"
    elif thread.names:
        text = f"{name} on {_safe(thread.names)}"
    else:
        text = name
    if thread.since_s is not None:
        least = "at least " if thread.slept == "pictures" else ""
        text += f", waits {least}{_seconds(thread.since_s)}"
    if thread.timeout_s is not None:
        text += f", timeout {_seconds(thread.timeout_s)}"
    elif thread.timeout_known:
        text += ", no timeout"
    elif socket is not None and thread.call in _LIMIT_IN_OPTION:
        # SO_RCVTIMEO and SO_SNDTIMEO could not be read: who may not copy a descriptor may not ask the socket.
        text += ", no timeout seen"
    return text


def _place(item: Thread | Task) -> str:
    if item.file is None:
        # Of a program without debug information.
        return _safe((item.function or "").removeprefix("perf map`"))
    from ..diagnose.text import source_text

    if getattr(item, "place", None) == "loop":
        return "event loop"
    name = _safe(item.file.rsplit("/", 1)[-1])
    if item.line is None:
        return name
    from ..trace.text import fit

    if (item.function or "").startswith("perf map`"):
        return f"{_safe((item.function or '').removeprefix('perf map`'))} ({name}:{item.line})"
    quoted = fit(_safe(source_text(item.file, item.line)), _MAX_CODE)
    return f"{name}:{item.line}" + (f"  {quoted}" if quoted else "")


def _task_columns(task: Task, by_id: dict[int, Socket]) -> list[str]:
    socket = by_id.get(task.socket) if task.socket is not None else None
    what = task.state
    if socket is not None:
        what = f"awaits {_ends(socket)}"
    elif task.awaits is not None:
        what = f"awaits {_safe(task.awaits)}"
    return [f"pid {task.pid}", f"task {_safe(task.name)}", what, _place(task)]


def _socket_columns(inspection: Inspection, by_id: dict[int, Socket]) -> list[list[str]]:
    """The asked processes' sockets: listeners, then those somebody waits for, then those with something queued."""
    pids = _pids(inspection)
    waited = {number for thread in inspection.threads for number in _on(thread)}
    waited |= {task.socket for task in inspection.tasks if task.socket is not None}
    commands = {thread.pid: thread.command for thread in inspection.threads}
    own = [socket for socket in by_id.values() if not pids or pids & set(socket.pids)]

    def weight(socket: Socket) -> tuple[bool, bool, bool, int]:
        queued = bool(socket.receive_queue or socket.send_queue)
        return socket.accept_queue is None, socket.id not in waited, not queued, socket.id

    return [_socket_row(socket, commands) for socket in sorted(own, key=weight)]


def _socket_row(socket: Socket, commands: dict[int, str]) -> list[str]:
    if socket.accept_queue is not None or socket.backlog is not None:
        limit = socket.backlog if socket.backlog is not None else "unknown"
        queues = f"accept queue {socket.accept_queue} of {limit}"
    else:
        queues = f"receive {_count(socket.receive_queue)}, send {_count(socket.send_queue)}"
    if socket.drops:
        queues += f", {socket.drops} dropped"
    rest = []
    if socket.waiting:
        clients = [
            (", ".join(_who(_safe(commands.get(pid, "")), pid) for pid in one.peer_pids[:2]) + " ").lstrip()
            + _safe(one.peer or "unknown")
            for one in socket.waiting[:_MAX_CLIENTS]
        ]
        more = (socket.accept_queue or 0) - len(clients)
        rest.append(f"waiting: {', '.join(clients)}" + (f" and {more} more" if more > 0 else ""))
    if socket.silent_s is not None:
        rest.append(f"nothing received for {_seconds(socket.silent_s)}")
    rest += [
        f"{timer['kind'].replace('_', ' ')} in {_seconds(timer['expires_ms'] / 1000)}"
        + (f" after {timer['retransmits']} tries" if timer["retransmits"] else "")
        for timer in socket.timers
    ]
    if socket.peer_pids:
        names = [_who(_safe(commands.get(pid, "")), pid) for pid in socket.peer_pids[:3]]
        rest.append(f"peer {', '.join(names)}" + ("" if socket.peer_accepted else ", which has not accepted it yet"))
    elif not socket.peer_accepted:
        rest.append("peer: not accepted yet")
    elif socket.peer_closed is not None:
        rest.append(f"peer closed: {socket.peer_closed}, no process")
    if socket.namespace is not None:
        rest.append("other network namespace")
    return [f"{socket.protocol} {_ends(socket)}", socket.state, queues, ", ".join(rest)]


def _count(queue: int | None) -> str:
    return "unknown" if queue is None else str(queue)
