"""Inspect on programs that really hang: what waits, where, since when, and why."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stacks.programs import find as find_python
from wallsocket.cli.inspect import _limited
from wallsocket.errors import NotAvailable, NotPermitted, UsageError
from wallsocket.kernel import refusal
from wallsocket.kernel.tcp_state import TcpState
from wallsocket.trace import inspect as inspecting
from wallsocket.trace.inspect.sockets import take

from .conftest import Answer, Program, run_inspect

Start = Callable[..., Program]
Look = Callable[..., Answer]
Tell = Callable[..., subprocess.CompletedProcess[str]]

PROGRAMS = Path(__file__).parent / "programs"
#: Numbers of x86-64 system calls.
RECVFROM, SENDTO, SLEEP, POLL, FUTEX, WAIT4 = 45, 44, 230, 7, 202, 61

SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
"""
CLIENT = """
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("connected", flush=True)
"""


def pair(start: Start, server: str, client: str) -> tuple[Program, Program]:
    serving = start(name="server.py", source=SERVER + server)
    return serving, start(serving.said, name="client.py", source=CLIENT + client)


# -- what two pictures prove


def test_both_wait(start: Start, look: Look, tell: Tell) -> None:
    server, client = pair(start, "connection.recv(100)\n", "connection.recv(100)\n")
    server.threads_wait_in(RECVFROM)
    client.threads_wait_in(RECVFROM)
    time.sleep(1.1)  # the rule asks for a second
    answer = look(f":{server.said}")
    assert answer.rules == ["both-wait"], answer.errors
    assert answer.findings[0]["certainty"] == "certain"
    assert answer.status == 1
    mine, theirs = answer.threads
    assert (mine["pid"], mine["command"], mine["call"]) == (server.pid, "server.py", "recvfrom")
    assert (theirs["pid"], theirs["command"], theirs["call"]) == (client.pid, "client.py", "recvfrom")
    assert (mine["file"].rsplit("/")[-1], mine["line"]) == ("server.py", 6)
    assert (theirs["line"], theirs["function"]) == (5, "<module>")
    assert mine["since_s"] > 1
    assert (mine["timeout_s"], mine["timeout_known"]) == (None, True)
    ours, other = answer.socket(mine["socket"]), answer.socket(theirs["socket"])
    assert (ours["local"], ours["peer"]) == (other["peer"], other["local"])
    assert (ours["peer_pids"], other["pids"]) == ([client.pid], [client.pid])
    assert ours["state"] == "ESTABLISHED"
    assert (ours["receive_queue"], ours["send_queue"], ours["options"]["SO_KEEPALIVE"]) == (0, 0, False)
    text = tell(f":{server.said}").stdout
    assert f"recv on 127.0.0.1:{server.said} ← {ours['peer']}, waits" in text
    assert f"recv on {ours['peer']} → 127.0.0.1:{server.said}, waits" in text
    assert "server.py:6" in text
    assert "each end is waiting for the other in recv" in text


def test_a_limit_in_the_sockets_option_is_read(start: Start, look: Look, tell: Tell) -> None:
    limited = (
        "import struct\nconnection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('@qq', 44, 500000))\n"
        "connection.recv(100)\n"
    )
    server, client = pair(start, "connection.recv(100)\n", limited)
    server.threads_wait_in(RECVFROM)
    client.threads_wait_in(RECVFROM)
    time.sleep(1.1)
    answer = look(server.pid)
    assert answer.rules == []  # one end has a limit: no deadlock
    assert [(thread["timeout_s"], thread["timeout_known"]) for thread in answer.threads] == [(None, True), (44.5, True)]
    text = tell(server.pid).stdout
    assert re.search(r", no timeout\s", text)
    assert ", timeout 44.5 s" in text or ", timeout 44 s" in text


def test_a_thread_that_runs_may_end_the_wait(start: Start, look: Look) -> None:
    busy = "import threading\nthreading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()\n"
    server, client = pair(start, "connection.recv(100)\n", busy + "connection.recv(100)\n")
    server.threads_wait_in(RECVFROM)
    time.sleep(1.1)
    answer = look(server.pid)
    assert answer.rules == []
    open_questions = {(one["rule"], one["missing"]) for one in answer.summary["cannot_tell"]}
    assert open_questions == {("both-wait", "threads")}


def test_both_send(start: Start, look: Look) -> None:
    endless = "while True: connection.sendall(bytes(1 << 20))\n"
    server, client = pair(start, endless, endless)
    server.threads_wait_in(SENDTO)
    client.threads_wait_in(SENDTO)
    time.sleep(2)  # the last bytes find their way, and the rule asks for a second
    answer = look(server.pid)
    assert answer.rules[0] == "both-wait", (answer.text, answer.errors)
    assert "in send" in answer.findings[0]["title"]
    assert all(thread["call"] == "sendto" for thread in answer.threads)
    assert all(one["receive_queue"] > 0 for one in answer.sockets if one["state"] == "ESTABLISHED")


def test_one_end_waits_and_the_other_works(start: Start, look: Look) -> None:
    server, _ = pair(start, "connection.recv(100)\n", "import time; time.sleep(100)\n")
    server.threads_wait_in(RECVFROM)
    time.sleep(1.1)
    answer = look(server.pid)
    assert answer.rules == []
    assert answer.status == 0
    assert [thread["call"] for thread in answer.threads] == ["recvfrom", "clock_nanosleep"]


def test_silent_peer(start: Start, look: Look) -> None:
    server, client = pair(start, "connection.recv(100)\n", "import time; time.sleep(100)\n")
    time.sleep(10.2)  # the rule asks for ten seconds
    answer = look(server.pid)
    assert answer.rules == ["silent-peer"]
    assert (answer.findings[0]["certainty"], answer.status) == ("hint", 0)


def test_accept_queue_full(start: Start, look: Look, tell: Tell) -> None:
    server = start(
        source="import socket, time\nlistener = socket.create_server(('127.0.0.1', 0), backlog=1)\n"
        "print(listener.getsockname()[1], flush=True)\ntime.sleep(100)\n"
    )
    clients = [socket.socket() for _ in range(4)]
    try:
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", int(server.said)))
        time.sleep(0.2)
        answer = look(f":{server.said}")
        listener = next(one for one in answer.sockets if one["state"] == "LISTEN")
        assert (listener["accept_queue"], listener["backlog"]) == (2, 1)
        assert "accept-queue-full" in answer.rules
        # Who waits there is named, and only who waits there is "not accepted yet".
        names = {f"127.0.0.1:{client.getsockname()[1]}" for client in clients}
        assert len(listener["waiting"]) == 2
        assert all(one["peer"] in names and one["peer_pids"] == [os.getpid()] for one in listener["waiting"])
        text = tell(f":{server.said}").stdout
        assert f"(pid {os.getpid()}) {listener['waiting'][0]['peer']}" in text
        mine = [one for one in look(os.getpid()).sockets if one["peer"] == f"127.0.0.1:{server.said}"]
        assert [one["peer_accepted"] for one in mine if one["state"] == "ESTABLISHED"] == [False, False]
    finally:
        for client in clients:
            client.close()


def test_data_that_nobody_reads(start: Start, look: Look) -> None:
    server, _ = pair(start, "import time; time.sleep(100)\n", "connection.sendall(bytes(5000))\nconnection.recv(1)\n")
    server.threads_wait_in(SLEEP)
    time.sleep(0.3)
    answer = look(server.pid)
    # That the client waits for an answer is said once it has lasted.
    assert answer.rules in (["unread-data"], ["unread-data", "silent-peer"])
    assert all(finding["follows_from"] == "unread-data" for finding in answer.findings[1:])
    assert "5000 bytes" in answer.findings[0]["why"]
    assert "clock_nanosleep" in answer.findings[0]["why"]
    assert (answer.findings[0]["file"].rsplit("/")[-1], answer.findings[0]["line"]) == ("server.py", 6)


def test_close_wait_grows(start: Start, look: Look, tell: Tell) -> None:
    server = start(
        source="import socket\nlistener = socket.create_server(('127.0.0.1', 0))\n"
        "print(listener.getsockname()[1], flush=True)\nkept = []\n"
        "while True:\n    kept.append(listener.accept()[0])\n    kept[-1].recv(1)\n"
    )

    def come_and_go(count: int) -> None:
        for _ in range(count):
            socket.create_connection(("127.0.0.1", int(server.said))).close()

    come_and_go(3)
    watching = subprocess.Popen(
        [sys.executable, "-m", "wallsocket", "inspect", f":{server.said}", "--watch", "4s"],
        stdout=subprocess.PIPE,
        text=True,
    )
    while watching.poll() is None:
        come_and_go(1)
        time.sleep(0.2)
    assert watching.stdout is not None
    with watching.stdout as stream:
        text = stream.read()
    first, last = (
        next(line for line in text.splitlines() if line.startswith("CLOSE_WAIT of")).split(": ")[1].split()[::2][:2]
    )
    assert int(last) > int(first)
    assert "close() is missing" in text
    assert "peer closed: FIN_WAIT2, no process" in text
    assert "not accepted" not in text
    # Each recv(1) was answered by the end: nothing came before it.
    assert "read the end and did not close" in text
    assert look(server.pid).rules == ["close-wait"]


@pytest.mark.parametrize(("taken", "said"), [(1, "left 9 bytes of 3 of them unread and"), (4, "read all data but not")])
def test_the_end_was_read_only_when_nothing_is_unread(start: Start, look: Look, taken: int, said: str) -> None:
    source = (
        "import socket, time\nlistener = socket.create_server(('127.0.0.1', 0))\n"
        "print(listener.getsockname()[1], flush=True)\nkept = []\n"
        f"for _ in range(3):\n    kept.append(listener.accept()[0])\n    kept[-1].recv({taken})\n"
        "time.sleep(1000)\n"
    )
    server = start(source=source)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", int(server.said))) as client:
            client.sendall(b"four")
            # The end goes out after the data were taken, not with them.
            eventually(lambda client=client: queued(client) == 0)
            if taken == 4:
                eventually(lambda client=client: taken_by_peer(client))
    server.threads_wait_in(SLEEP)
    time.sleep(1.1)  # the rule asks for a second
    answer = look(server.pid)
    assert answer.rules == ["close-wait"]
    assert said in answer.findings[0]["why"]


def queued(connection: socket.socket) -> int:
    """Bytes that the peer has not acknowledged (SIOCOUTQ)."""
    return int(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0])


def taken_by_peer(connection: socket.socket) -> bool:
    """Whether the program at the other end has nothing to read."""
    from wallsocket.kernel import here

    address = connection.getpeername()
    ends = here.sockets("tcp", local_port=address[1], peer_port=connection.getsockname()[1])
    return [end.receive_queue for end in ends] == [0]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_datagrams_that_were_dropped_are_shown_and_found(start: Start, look: Look, tell: Tell) -> None:
    server = start(
        source="import socket, time\nwaiting = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "waiting.bind(('127.0.0.1', 0))\nprint(waiting.getsockname()[1], flush=True)\ntime.sleep(1000)\n"
    )
    address = ("127.0.0.1", int(server.said))
    quiet = look(server.pid)
    assert (quiet.rules, quiet.sockets[0]["drops"]) == ([], 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(2000):
            client.sendto(bytes(500), address)
        answer = look(server.pid)
        assert answer.rules == ["receive-buffer-overflow"]
        assert (answer.findings[0]["severity"], answer.status) == ("warning", 0)
        dropped = answer.sockets[0]["drops"]
        assert 0 < dropped < 2000
        assert f"dropped {dropped} datagrams" in answer.findings[0]["why"]
        assert f"{dropped} dropped" in tell(server.pid).stdout
        watching = subprocess.Popen(
            [sys.executable, "-m", "wallsocket", "inspect", str(server.pid), "--watch", "2s"],
            stdout=subprocess.PIPE,
            text=True,
        )
        while watching.poll() is None:
            client.sendto(bytes(500), address)
            time.sleep(0.01)
    assert watching.returncode == 1
    assert watching.stdout is not None
    with watching.stdout as stream:
        assert "error, certain" in stream.read()


# -- threads and calls


def test_calls_of_a_c_program(start: Start, look: Look, tmp_path: Path) -> None:
    program = tmp_path / "waits"
    subprocess.run(["gcc", "-w", "-pthread", "-o", program, PROGRAMS / "waits.c"], check=True)
    running = start(program)
    deadline = time.monotonic() + 30
    while -2 in running.calls() or len(set(running.calls())) < 7:
        assert time.monotonic() < deadline, running.calls()
        time.sleep(0.02)
    answer = look("waits")
    calls = {thread["call"]: thread for thread in answer.threads}
    assert {"recvfrom", "poll", "epoll_wait", "accept", "read", "pause"} <= set(calls), set(calls)
    assert (calls["poll"]["timeout_s"], calls["poll"]["timeout_known"]) == (77, True)
    chosen = calls.get("select") or calls["pselect6"]
    assert (chosen["timeout_s"], len(chosen["sockets"]), chosen["socket"]) == (55.5, 2, None)
    assert (calls["epoll_wait"]["timeout_s"], calls["epoll_wait"]["timeout_known"]) == (None, True)
    assert calls["epoll_wait"]["socket"] == calls["poll"]["socket"]
    assert answer.socket(calls["poll"]["socket"])["peer"] == f"127.0.0.1:{running.said}"
    assert answer.socket(calls["recvfrom"]["socket"])["local"] == f"127.0.0.1:{running.said}"
    assert answer.socket(calls["accept"]["socket"])["backlog"] == 7
    assert (calls["read"]["socket"], calls["read"]["names"]) == (None, "pipe")
    assert all(thread["file"] is None for thread in answer.threads)
    assert answer.rules == []


def test_a_python_timeout_is_read(start: Start, look: Look) -> None:
    server, client = pair(start, "connection.recv(1)\n", "connection.settimeout(33)\nconnection.recv(1)\n")
    client.threads_wait_in(POLL)
    answer = look(client.pid)
    thread = next(thread for thread in answer.threads if thread["pid"] == client.pid)
    assert 32 < thread["timeout_s"] <= 33
    assert answer.socket(thread["socket"])["peer"] == f"127.0.0.1:{server.said}"
    time.sleep(1.1)
    # One end has a limit: no deadlock. On a loaded machine the other may have waited long enough for a hint by now.
    assert set(look(client.pid).rules) <= {"silent-peer"}


def test_python_threads(start: Start, look: Look) -> None:
    program = start(
        source=SERVER.replace("connection, _ = listener.accept()", "")
        + "import threading\n"
        + "client = socket.create_connection(listener.getsockname())\n"
        + "connection, _ = listener.accept()\n"
        + "def reads():\n    connection.recv(1)\n"
        + "thread = threading.Thread(target=reads)\nthread.start()\nthread.join()\n"
    ).threads_wait_in(RECVFROM, FUTEX)
    answer = look(program.pid)
    main, reader = answer.threads
    assert (main["tid"], main["call"]) == (program.pid, "futex")
    assert main["function"] == "<module>"
    assert (reader["call"], reader["function"], reader["place"]) == ("recvfrom", "reads", "user")


def test_asyncio_tasks(start: Start, look: Look) -> None:
    program = start(
        source="""
import asyncio
async def handle(reader, writer):
    await reader.readline()
async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async def client():
        await reader.read(10)
    task = asyncio.create_task(client(), name="the client")
    await asyncio.sleep(0)
    print(port, flush=True)
    await task
asyncio.run(main())
"""
    )
    time.sleep(1.1)
    answer = look(program.pid)
    tasks = {task["name"]: task for task in answer.tasks}
    client = tasks["the client"]
    assert (client["line"], client["function"].rsplit(".")[-1]) == (10, "client")
    assert answer.socket(client["socket"])["peer"] == f"127.0.0.1:{program.said}"
    assert tasks["Task-1"]["awaits"] == "task the client"
    handler = next(task for task in answer.tasks if task["line"] == 4)
    assert answer.socket(handler["socket"])["local"] == f"127.0.0.1:{program.said}"
    (thread,) = answer.threads
    assert thread["call"].startswith("epoll")
    assert len(thread["sockets"]) >= 3
    # A deadlock or a connection that rests: that both wait is worth a word, not more.
    (finding,) = answer.findings
    assert (finding["rule"], finding["certainty"], finding["severity"]) == ("both-wait", "hint", "note")
    assert finding["line"] in (4, 10)
    assert "program.py:4 and" in finding["why"] or "program.py:10 and" in finding["why"]
    assert answer.status == 0


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_node(start: Start, look: Look) -> None:
    program = start(
        "node",
        "-e",
        "const net=require('net');const s=net.createServer(()=>{});s.listen(0,'127.0.0.1',()=>"
        "{net.connect(s.address().port,'127.0.0.1').on('connect',()=>console.log(s.address().port))})",
    )
    answer = look(f":{program.said}")
    main = next(thread for thread in answer.threads if thread["tid"] == program.pid)
    assert main["call"].startswith("epoll")
    assert {answer.socket(number)["state"] for number in main["sockets"]} >= {"LISTEN", "ESTABLISHED"}
    assert answer.rules == []


def test_unix_sockets(start: Start, look: Look) -> None:
    program = start(
        source="import os, socket\na, b = socket.socketpair()\nchild = os.fork()\n"
        "if child: print(child, flush=True); b.close(); a.recv(1)\nelse: a.close(); b.recv(1)\n"
    ).threads_wait_in(RECVFROM)
    time.sleep(1.2)
    try:
        answer = look(program.pid)
        assert [thread["pid"] for thread in answer.threads] == [program.pid, int(program.said)]
        assert answer.rules == ["both-wait"]
    finally:
        os.kill(int(program.said), signal.SIGKILL)


# -- no trace is left


def test_nothing_changes_in_the_target(start: Start, look: Look) -> None:
    server, client = pair(start, "connection.recv(100)\n", "connection.recv(100)\n")
    server.threads_wait_in(RECVFROM)
    client.threads_wait_in(RECVFROM)

    def state(pid: int) -> tuple[object, ...]:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        # SigQ counts the signals of the whole user, whose other programs come and go.
        wanted = ("SigPnd", "SigBlk", "SigIgn", "SigCgt", "Shd", "Tracer", "volun", "nonvol", "Cpus_allowed")
        kept = [line for line in status if line.startswith(wanted)]
        links = {name: os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
        return kept, links, Path(f"/proc/{pid}/syscall").read_text()

    before = state(server.pid), state(client.pid)
    look(server.pid)
    assert (state(server.pid), state(client.pid)) == before


def test_the_target_closes_its_socket_while_it_is_watched(start: Start, look: Look) -> None:
    server, client = pair(start, "import time; time.sleep(0.5)\n", "print(connection.recv(1))\n")
    answer = look(server.pid, "--watch", "2s")
    assert answer.status in (0, 2), answer.errors
    assert client.process.wait(30) == 0


# -- whom to look at


def test_clients_of_a_unix_listener(start: Start, look: Look) -> None:
    path = f"\0wallsocket-{os.getpid()}"
    server = start(
        path[1:],
        source="import socket, sys, time\nlistener = socket.socket(socket.AF_UNIX)\nlistener.bind('\\0' + sys.argv[1])\n"
        "listener.listen(5)\nprint('ready', flush=True)\ntime.sleep(1000)\n",
    )
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        listener = next(one for one in look(server.pid).sockets if one["state"] == "LISTEN")
        assert [one["peer_pids"] for one in listener["waiting"]] == [[os.getpid()]]


def test_both_inodes_of_a_socketpair_and_the_names_of_threads(start: Start, look: Look, tell: Tell) -> None:
    program = start(
        source="import socket, threading\nleft, right = socket.socketpair()\n"
        "def wait():\n    open('/proc/thread-self/comm', 'w').write('a worker')\n    print(1, flush=True)\n"
        "    right.recv(1)\nthreading.Thread(target=wait).start()\nleft.recv(1)\n"
    )
    program.threads_wait_in(RECVFROM, RECVFROM)
    answer = look(program.pid, "--stack")
    one, other = answer.sockets
    assert (one["peer_inode"], other["peer_inode"]) == (other["inode"], one["inode"])
    names = {thread["name"]: thread["stack"] for thread in answer.threads}
    assert names["a worker"][0].endswith("program.py:6 wait")
    assert len(names["a worker"]) >= 3  # with what threading called it by
    text = tell(program.pid, "--stack").stdout
    assert re.search(r" a worker\s+recv on", text)
    assert "program.py:6 wait" in text


def test_the_whole_stack_of_a_native_thread(start: Start, tell: Tell, tmp_path: Path) -> None:
    source = tmp_path / "serve.c"
    source.write_text(
        "#include <stdio.h>\n#include <sys/socket.h>\n"
        "static int pair[2];\n"
        "__attribute__((noinline)) static int receive(int from) {\n"
        "    char byte;\n    int got = recv(from, &byte, 1, 0);\n    return got + byte;\n}\n"
        'int main(void) {\n    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);\n    puts("ready");\n    fflush(stdout);\n'
        "    return receive(pair[0]) + 1;\n}\n"
    )
    program = tmp_path / "serve"
    subprocess.run(["cc", "-g", "-O1", "-o", program, source], check=True)
    started = start(program).threads_wait_in(RECVFROM)
    lines = tell(started.pid, "--stack").stdout.splitlines()
    places = [line.strip().rpartition("/")[2] for line in lines[lines.index(f"stack of thread {started.pid}") :]]
    at = places.index("serve.c:6 receive")
    assert places[at + 1] == "serve.c:13 main"


def test_the_server_that_a_connected_udp_socket_asks(start: Start, look: Look) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        program = start(
            server.getsockname()[1],
            source="import socket, sys\nasking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "asking.connect(('127.0.0.1', int(sys.argv[1])))\nprint(1, flush=True)\nasking.recv(1)\n",
        )
        program.threads_wait_in(RECVFROM)
        answer = look(program.pid)
        assert answer.socket(answer.threads[0]["socket"])["peer_pids"] == [os.getpid()]


def test_a_target_that_ends_meanwhile(start: Start) -> None:
    program = start(source="print(1, flush=True)\nimport time\ntime.sleep(1000)\n")
    watching = subprocess.Popen(
        [sys.executable, "-m", "wallsocket", "inspect", str(program.pid), "--watch", "100s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert "program.py" in watching.stdout.readline()  # the first report comes at once
    program.process.kill()
    _, errors = watching.communicate(timeout=60)
    assert watching.returncode == 2
    assert f"(pid {program.pid}): ended while it was looked at" in errors


def test_ctrl_c_ends_a_watch_with_what_was_seen(start: Start) -> None:
    program = start(source="print(1, flush=True)\nimport time\ntime.sleep(1000)\n")
    watching = subprocess.Popen(
        [sys.executable, "-m", "wallsocket", "inspect", str(program.pid), "--watch", "100s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    text, errors = watching.communicate(timeout=60)
    assert watching.returncode == 130
    assert re.search(r"^After \d+\.\d s:$", text, re.MULTILINE)
    assert "ended by Ctrl-C after" in errors


def test_why_there_are_no_lines_is_said(start: Start, look: Look) -> None:
    found = next((path for minor in range(10, 5, -1) if (path := find_python(f"3.{minor}")) is not None), None)
    if found is None:
        pytest.skip("no CPython before 3.11 is installed here")
    program = start(found, "-c", "import time; print(1, flush=True); time.sleep(1000)")
    assert "Python lines unknown: CPython 3." in look(program.pid).errors


def test_without_the_tracing_program_only_native_lines_lack(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    program = start(source="print(1, flush=True)\nimport time\ntime.sleep(1000)\n").threads_wait_in(SLEEP)

    def missing() -> Path:
        raise NotAvailable("the tracing program is missing")

    monkeypatch.setattr(inspecting, "guardian_path", missing)
    found = inspecting.inspect(str(program.pid))
    assert [thread.line for thread in found.threads] == [3]
    assert "lines of native code are not known: the tracing program is missing" in found.notes


def test_a_program_of_that_name_that_is_no_interpreter(start: Start, look: Look, tmp_path: Path) -> None:
    path = tmp_path / "python3.99"
    shutil.copy(shutil.which("sleep") or "sleep", path)
    process = subprocess.Popen([path, "1000"])
    try:
        assert "no interpreter is recognised in python3.99" in look(process.pid).errors
    finally:
        process.kill()
        process.wait()


def test_names(start: Start, tell: Tell) -> None:
    source = "import time\nprint('up', flush=True)\ntime.sleep(100)\n"
    start(name="an-odd-name.py", source=source)
    start(name="an-odd-name.py", source=source)
    by_script, by_stem = tell("an-odd-name.py"), tell("an-odd-name")
    assert by_script.stdout.count("an-odd-name.py (pid") == by_stem.stdout.count("an-odd-name.py (pid") == 2
    assert by_script.returncode == 0
    near = tell("an-odd-nam.py")
    assert (near.returncode, near.stdout) == (2, "")
    assert "an-odd-name.py" in near.stderr


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("4194304", "no process 4194304"),
        (":0", "from 1 to 65535"),
        (":http", "from 1 to 65535"),
        ("", "name a process"),
        ("no such\x1b[31m", "no process is called"),
    ],
)
def test_bad_targets(tell: Tell, target: str, said: str) -> None:
    done = tell("--", target)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "\x1b" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_nobody_has(tell: Tell) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = tell(f":{port}")
    assert done.returncode == 2
    assert f"nobody has port {port}" in done.stderr


def test_udp_ports(start: Start, look: Look) -> None:
    program = start(
        source="import socket\ns = socket.socket(type=socket.SOCK_DGRAM)\ns.bind(('127.0.0.1', 0))\n"
        "print(s.getsockname()[1], flush=True)\ns.recv(10)\n"
    ).threads_wait_in(RECVFROM)
    answer = look(f":{program.said}")
    (thread,) = answer.threads
    assert answer.socket(thread["socket"])["protocol"] == "udp"


def test_a_program_in_another_network_namespace(start: Start, look: Look) -> None:
    # The tests' own interpreter may lie in a folder that is closed to the namespace's user.
    interpreter = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    if subprocess.run(["unshare", "-Urn", interpreter, "-c", ""], capture_output=True).returncode != 0:
        pytest.skip(f"user namespaces are refused, or {interpreter} cannot be run in one")
    program = start(
        "unshare",
        "-Urn",
        interpreter,
        "-c",
        "import socket,subprocess\nsubprocess.run(['ip','link','set','lo','up'])\n"
        "l=socket.create_server(('127.0.0.1',0)); c=socket.create_connection(l.getsockname()); a,_=l.accept()\n"
        "c.send(b'12345'); print(l.getsockname()[1],flush=True); c.recv(1)",
    ).threads_wait_in(RECVFROM)
    answer = look(program.pid)
    (thread,) = answer.threads
    assert thread["call"] == "recvfrom"
    waited = answer.socket(thread["socket"])
    assert waited["peer"] == f"127.0.0.1:{program.said}"
    other = next(one for one in answer.sockets if one["local"] == waited["peer"] and one["peer"] == waited["local"])
    assert other["receive_queue"] == 5
    assert waited["namespace"] not in (None, os.stat("/proc/self/ns/net").st_ino)
    # Root may enter it, and sees as much as here.
    assert ("another network namespace" in answer.errors) == (os.geteuid() != 0) == (waited["silent_s"] is None)
    assert look(f":{program.said}").threads[0]["pid"] == program.pid


# -- what surrounds a wait


def test_a_parent_that_does_not_read_what_its_child_writes(start: Start, look: Look) -> None:
    writer = "for number in range(9999): print('.' * 100)"
    parent = start(
        name="parent.py",
        source=f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {writer!r}], stdout=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\nchild.wait()\n",
    ).threads_wait_in(WAIT4)
    child = int(parent.said)
    eventually(lambda: Path(f"/proc/{child}/syscall").read_text().startswith("1 0x1 "))
    time.sleep(0.6)  # the rule asks for half a second
    answer = look(parent.pid)
    assert answer.rules == ["pipe-stands"]
    assert answer.findings[0]["process"]["pid"] == child
    assert f"parent.py (pid {parent.pid}), which waits for a child process" in answer.findings[0]["why"]
    assert "parent.py:4" in answer.findings[0]["why"]


def test_a_lock_of_python_held_while_waiting_is_a_hint(start: Start, look: Look) -> None:
    source = """
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
connection = socket.create_connection(listener.getsockname())
accepted, _ = listener.accept()
lock = threading.Lock()
def ask():
    with lock:
        connection.recv(100)
for _ in range(3): threading.Thread(target=ask, daemon=True).start()
print("started", flush=True)
threading.Event().wait()
"""
    start(name="locks.py", source=source).threads_wait_in(RECVFROM, FUTEX, FUTEX, FUTEX)
    answer = look("locks.py")
    assert answer.rules == ["lock-held-in-wait"]
    finding = answer.findings[0]
    assert (finding["certainty"], finding["severity"], finding["line"]) == ("hint", "note", 9)
    assert "2 threads" in finding["why"]
    assert "at locks.py:8" in finding["why"]


def test_a_program_that_waits_for_its_own_signal_handler_is_healthy(start: Start, look: Look) -> None:
    source = (
        "import signal, socket\nours, theirs = socket.socketpair()\ntheirs.setblocking(False)\n"
        "signal.set_wakeup_fd(theirs.fileno())\nsignal.signal(signal.SIGTERM, lambda *_: None)\n"
        "print('waits', flush=True)\nours.recv(1)\n"
    )
    program = start(name="signals.py", source=source).threads_wait_in(RECVFROM)
    time.sleep(1.1)
    answer = look(program.pid)
    assert {finding["severity"] for finding in answer.findings} <= {"note"}
    assert answer.status == 0


def test_workers_that_wait_for_work_are_healthy(start: Start, look: Look) -> None:
    source = """
import concurrent.futures, multiprocessing, threading
def work(number): return number
if __name__ == "__main__":
    pool = multiprocessing.get_context("fork").Pool(3)
    pool.map(work, range(9))
    threads = concurrent.futures.ThreadPoolExecutor(3)
    list(threads.map(work, range(9)))
    print("idle", flush=True)
    threading.Event().wait()
"""
    program = start(name="workers.py", source=source)
    time.sleep(1.1)
    answer = look(program.pid, "--children")
    assert len({thread["pid"] for thread in answer.threads}) == 4
    assert answer.rules == []


# -- permissions


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look at everything")
def test_other_users_are_refused() -> None:
    with pytest.raises(NotPermitted, match="belongs to user root.*CAP_SYS_PTRACE"):
        inspecting.inspect("1")


@pytest.mark.root
def test_an_ordinary_user(start: Start) -> None:
    server, client = pair(start, "connection.recv(100)\n", "connection.recv(100)\n")
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all")
    refused = run_inspect(server.pid, prefix=nobody)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "belongs to user root" in refused.stderr
    assert "CAP_SYS_PTRACE" in refused.stderr
    sockets = run_inspect(f":{server.said}", prefix=nobody)
    assert sockets.returncode == 2
    assert "LISTEN" in sockets.stdout
    assert "ESTABLISHED" in sockets.stdout
    assert refusal.as_root(f"inspect :{server.said}") in sockets.stdout


# -- parts


def test_structures_are_those_that_the_kernel_gave() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as one:
        one.sendall(b"123")
        own = os.stat("/proc/self/ns/net").st_ino
        inode = os.fstat(one.fileno()).st_ino
        seen = take({own: os.getpid()}, 0, [inode]).by_key[own, inode]
        # Times and counts go on; what the handshake agreed stays: options, scales of the windows, segment size.
        raw = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 512)
        assert seen.tcp_info is not None
        assert len(seen.tcp_info) > 104
        assert (seen.tcp_info[5:7], seen.tcp_info[16:20]) == (raw[5:7], raw[16:20])
        assert seen.info is not None
        assert (seen.info.state, seen.info.bytes_sent) == (TcpState.ESTABLISHED, 3)
        assert seen.memory is not None
        assert seen.memory.receive_buffer == one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def test_of_others_connections_only_the_other_ends_are_listed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        ends = []
        for _ in range(2):
            ends.append(stack.enter_context(socket.create_connection(listener.getsockname())))
            ends.append(stack.enter_context(listener.accept()[0]))
        waiting = stack.enter_context(socket.create_connection(listener.getsockname()))
        own = os.stat("/proc/self/ns/net").st_ino
        inodes = [os.fstat(one.fileno()).st_ino for one in (*ends, waiting, listener)]
        client, server, *others, asks, listens = inodes
        picture = take({own: os.getpid()}, 0, [client])
        seen = {seen.key[1] for seen in picture.all}
        assert {client, server, listens} <= seen
        assert seen.isdisjoint(others)
        # Nobody holds the end that has not been accepted: both are there, whoever asks.
        assert asks in seen
        assert [one.peer.port for one in picture.queued(picture.by_key[own, listens], 8) if one.peer] == [
            waiting.getsockname()[1]
        ]
        everybody = take({own: os.getpid()}, 0, port=listener.getsockname()[1])
        assert set(inodes) <= {seen.key[1] for seen in everybody.all}


def test_an_inspection_takes_a_second_at_most(start: Start) -> None:
    server, client = pair(start, "connection.recv(100)\n", "connection.recv(100)\n")
    found = min(inspecting.inspect(str(server.pid)).took_s for _ in range(3))
    assert found < 1


def test_the_time_grows_with_threads_and_sockets_not_with_their_square(start: Start, tmp_path: Path) -> None:
    program = tmp_path / "crowd"
    subprocess.run(["gcc", "-w", "-pthread", "-o", program, PROGRAMS / "crowd.c"], check=True)

    def took_s(threads: int) -> float:
        """Processor time, which other programs on the machine change little."""
        running = start(program, threads)
        eventually(lambda: running.calls().count(RECVFROM) == threads)
        least = float("inf")
        for _ in range(2):
            begun = time.process_time()
            found = inspecting.inspect(str(running.pid))
            least = min(least, time.process_time() - begun)
            assert sum(thread.socket is not None for thread in found.threads) == threads
        return least

    few, many = took_s(100), took_s(800)
    # Eight times as many: the square would be 64.
    assert many < 24 * few


def test_many_threads_of_python_are_listed_once(start: Start) -> None:
    source = (
        "import socket, sys, threading\n"
        "ends = [socket.socketpair() for _ in range(int(sys.argv[1]))]\n"
        "for one, _ in ends: threading.Thread(target=one.recv, args=(1,), daemon=True).start()\n"
        "print('started', flush=True)\n"
        "threading.Event().wait()\n"
    )

    def took_s(threads: int) -> float:
        running = start(threads, name="threads.py", source=source)
        eventually(lambda: running.calls().count(RECVFROM) == threads)
        least = float("inf")
        for _ in range(2):
            begun = time.process_time()
            found = inspecting.inspect(str(running.pid))
            least = min(least, time.process_time() - begun)
            assert sum(thread.place == "library" for thread in found.threads) >= threads
        return least

    few, many = took_s(50), took_s(800)
    # Sixteen times as many: the square would be 256.
    assert many < 40 * few


def test_the_wrong_type_of_name_is_an_error() -> None:
    with pytest.raises(UsageError):
        inspecting.inspect("   ")


@pytest.mark.parametrize("width", [60, 80])
def test_rows_that_are_too_wide_go_on_below(width: int) -> None:
    short, long = (
        ["a (pid 1)", "thread 1", "recv", "x.py:1"],
        ["b (pid 2)", "thread 2", "waits " * 12, "y.py:2  code()"],
    )
    lines = _limited([short, long], width)
    assert max(map(len, lines)) <= width
    assert lines[0].split() == " ".join(short).split()
    assert "".join("".join(lines[1:]).split()) == "".join("".join(long).split())
