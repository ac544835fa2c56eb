"""Runs real servers and clients, untraced and under Wallsocket, and collects what a user would see of them.

A :class:`Pair` is a server and a client as Debian ships them. It is run four ways: untraced (the reference), the server
traced, the client traced, and both in ``--lab`` by one shell script. What they print, their exit status and what was
transferred must be the reference's; the recordings must hold their sockets, and no rule may fire.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.real import ready
from tests.support.agreement import assert_views_agree

WALLSOCKET = [sys.executable, "-m", "wallsocket"]
#: A loaded machine, a JVM and a tracer: far more than any run needs, far less than a hang.
DEADLINE_S = 90
PATH = f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Pair:
    """A server with a client for it.

    ``server`` and ``client`` make the command line from a folder of the run's own and a free port. ``volatile`` are
    regular expressions for what differs from run to run anyway (times, process ids): removed before comparing.
    """

    name: str
    needs: Sequence[str]
    server: Callable[[Path, int], list[str]]
    client: Callable[[Path, int], list[str]]
    prepare: Callable[[Path, int], None] = lambda folder, port: None
    client_input: bytes = b""
    transport: str = "tcp"
    stop: signal.Signals | None = signal.SIGTERM  #: None: the server ends by itself after its client
    volatile: Sequence[bytes] = ()
    unordered: bool = False  #: several threads or processes write the server's log
    environment: dict[str, str] = field(default_factory=dict)

    def missing(self) -> list[str]:
        """Programs that are not installed."""
        return [program for program in self.needs if shutil.which(program, path=PATH) is None]


@dataclass(frozen=True)
class Outcome:
    """What is seen of one process: streams without the volatile parts, and the exit status as a shell has it."""

    stdout: bytes
    stderr: bytes
    status: int


def free_port() -> int:
    """A port that was free for TCP and UDP a moment ago."""
    with socket.socket() as stream:
        stream.bind(("127.0.0.1", 0))
        port: int = stream.getsockname()[1]
        return port


def traced(recording: Path, command: Sequence[str], *, lab: bool = False) -> list[str]:
    """The command line that runs ``command`` under ``explain``; quiet, so that all output is the command's own."""
    return [*WALLSOCKET, "explain", "-q", *(["--lab"] if lab else []), "-o", str(recording), "--", *command]


def run_pair(
    pair: Pair,
    folder: Path,
    port: int,
    *,
    server_recording: Path | None = None,
    client_recording: Path | None = None,
) -> tuple[Outcome, Outcome]:
    """Run the server, then the client, then end the server; what was seen of both."""
    server_command = pair.server(folder, port)
    client_command = pair.client(folder, port)
    if server_recording is not None:
        server_command = traced(server_recording, server_command)
    if client_recording is not None:
        client_command = traced(client_recording, client_command)
    with _started(pair, folder, server_command, "server") as server:
        ready.wait_until_bound(port, pair.transport, DEADLINE_S, lambda: server.poll() is None)
        with _started(pair, folder, client_command, "client", pair.client_input) as client:
            client_status = client.wait(DEADLINE_S)
        if pair.stop is not None:
            server.send_signal(pair.stop)
        server_status = server.wait(DEADLINE_S)
    return _outcome(pair, folder, "server", server_status), _outcome(pair, folder, "client", client_status)


def inspected(pair: Pair, folder: Path, port: int, recording: Path) -> tuple[str, str]:
    """What ``inspect --json`` and ``inspect`` say of a traced server that has a client which says nothing."""
    words = [*WALLSOCKET, "inspect", f":{port}"]
    with _started(pair, folder, traced(recording, pair.server(folder, port)), "server") as server:
        ready.wait_until_bound(port, pair.transport, DEADLINE_S, lambda: server.poll() is None)
        with socket.socket(type=socket.SOCK_STREAM if pair.transport == "tcp" else socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", port))
            said = [
                subprocess.run(one, capture_output=True, text=True, timeout=DEADLINE_S).stdout
                for one in ([*words, "--json"], words)
            ]
        server.send_signal(pair.stop or signal.SIGTERM)
        server.wait(DEADLINE_S)
    return said[0], said[1]


def run_script(pair: Pair, folder: Path, port: int, recording: Path | None) -> Outcome:
    """Server and client from one shell script; with ``recording`` in a private network under ``explain --lab``."""
    (folder / "input").write_bytes(pair.client_input)
    # A shell starts what it puts into the background with SIGINT ignored: sh(1), asynchronous lists.
    stop = signal.SIGTERM if pair.stop is signal.SIGINT else pair.stop
    script = f"""
        {shlex.join(pair.server(folder, port))} >server.out 2>server.err &
        server=$!
        {shlex.join([sys.executable, ready.__file__, str(port), pair.transport, str(DEADLINE_S)])} || exit 9
        {shlex.join(pair.client(folder, port))} <input
        client=$?
        {f"kill -{int(stop)} $server" if stop is not None else ""}
        wait $server 2>wait.err  # "Terminated", or not: the shell's word depends on which ended first
        echo client $client server $?
    """
    command = ["sh", "-c", script]
    if recording is not None:
        command = traced(recording, command, lab=True)
    with _started(pair, folder, command, "script") as process:
        status = process.wait(DEADLINE_S)
    return _outcome(pair, folder, "script", status)


@contextmanager
def _started(
    pair: Pair, folder: Path, command: Sequence[str], name: str, text: bytes = b""
) -> Iterator[subprocess.Popen[bytes]]:
    # Streams are files: a pipe that nobody reads while we wait would stop the program.
    (folder / f"{name}.input").write_bytes(text)
    with (
        (folder / f"{name}.input").open("rb") as stdin,
        (folder / f"{name}.stdout").open("wb") as stdout,
        (folder / f"{name}.stderr").open("wb") as stderr,
    ):
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # a group of its own, to be ended as a whole
            preexec_fn=_heed_interrupts,
            env={**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8", **pair.environment},
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _heed_interrupts() -> None:
    """A test run that a shell put into the background has SIGINT ignored, and programs inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _outcome(pair: Pair, folder: Path, name: str, status: int) -> Outcome:
    return Outcome(
        _steady(pair, (folder / f"{name}.stdout").read_bytes(), name),
        _steady(pair, (folder / f"{name}.stderr").read_bytes(), name),
        status if status >= 0 else 128 - status,
    )


def _steady(pair: Pair, output: bytes, name: str) -> bytes:
    for pattern in pair.volatile:
        output = re.sub(pattern, b"~", output, flags=re.MULTILINE)
    return b"\n".join(sorted(output.split(b"\n"))) if pair.unordered and name == "server" else output


@dataclass(frozen=True)
class Recorded:
    """What a recording holds, read without the code under test, and what ``explain`` says of it."""

    exit_status: int
    calls: dict[int, int]  #: how often each system call was made
    sockets: int
    packets: int
    findings: list[dict[str, Any]]
    summary: dict[str, Any]


def recorded(path: Path) -> Recorded:
    """Read a recording; explain it again, from the file."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        exit_status = int(database.execute("SELECT value FROM meta WHERE key = 'exit_status'").fetchone()[0])
        calls = dict(database.execute("SELECT number, count(*) FROM call GROUP BY number").fetchall())
        (sockets,) = database.execute("SELECT count(*) FROM socket").fetchone()
        (packets,) = database.execute("SELECT count(*) FROM packet").fetchone()
    database.close()
    said = subprocess.run(
        [*WALLSOCKET, "explain", "--json", str(path)], capture_output=True, timeout=DEADLINE_S, check=False
    )
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert lines, said.stderr.decode()
    assert_views_agree(path)
    return Recorded(exit_status, calls, sockets, packets, lines[:-1], lines[-1])
