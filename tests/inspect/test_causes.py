"""Causes of waits that lie outside the thread that waits: a child, a lock, a queue, the other end's loop."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from wallsocket.kernel import Address
from wallsocket.kernel.tcp_state import TcpState
from wallsocket.trace.inspect.facts import accept_queues
from wallsocket.trace.inspect.sockets import Picture, Seen

from .conftest import PATIENCE_S, Answer, Program

Start = Callable[..., Program]
Look = Callable[..., Answer]
#: Numbers of x86-64 system calls.
READ, POLL, RECVFROM, SENDTO, FUTEX, EPOLL_WAIT = 0, 7, 45, 44, 202, 232


def finding(answer: Answer, rule: str) -> dict[str, object]:
    return next(
        (one for one in answer.findings if one["rule"] == rule), {"rules": answer.rules, "errors": answer.errors}
    )


def test_a_connection_that_has_just_come_does_not_stand_in_the_accept_queue() -> None:
    def seen(inode: int, state: TcpState, peer: Address | None) -> Seen:
        return Seen(
            key=(1, inode),
            protocol="tcp",
            family=socket.AF_INET,
            type=socket.SOCK_STREAM,
            number=socket.IPPROTO_TCP,
            state=state,
            local=Address.parse("127.0.0.1:80"),
            peer=peer,
            receive_queue=1,
            send_queue=5,
        )

    client = Address.parse("127.0.0.1:5000")
    sockets = [seen(7, TcpState.LISTEN, None), seen(0, TcpState.ESTABLISHED, client)]
    for later_ms, stood in ((20, 0), (510, 1)):
        pictures = [Picture(0, sockets), Picture(later_ms * 1_000_000, sockets)]
        (fact,) = accept_queues(pictures, {(1, 7): 1})
        assert (fact.value["queue"], fact.value["stood"]) == (1, stood)


def test_a_client_in_an_accept_queue_is_told_who_should_accept(start: Start, look: Look) -> None:
    server = start(
        name="server.py",
        source="""
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    while data := connection.recv(100):
        connection.sendall(data)
""",
    )
    with socket.create_connection(("127.0.0.1", int(server.said))):
        server.threads_wait_in(RECVFROM)
        client = start(
            server.said,
            name="client.py",
            source="""
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"hello")
print("sent", flush=True)
connection.recv(100)
""",
        )
        client.threads_wait_in(RECVFROM)
        answer = look(client.pid)
        assert answer.rules[0] == "accept-queue-stands", answer.errors
        assert "server.py:7" in answer.findings[0]["why"]
        mine = answer.socket(next(one["socket"] for one in answer.threads if one["pid"] == client.pid))
        assert (mine["peer_accepted"], mine["peer_pids"]) == (False, [server.pid])


def test_two_readers_of_a_chat_are_healthy(start: Start, look: Look) -> None:
    server = start(
        name="server.py",
        source="""
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
threading.Thread(target=connection.recv, args=(100,)).start()
listener.accept()
""",
    )
    client = start(
        server.said,
        name="client.py",
        source="""
import os, socket, sys, threading
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
threading.Thread(target=connection.recv, args=(100,), daemon=True).start()
keyboard, _ = os.pipe()
print("connected", flush=True)
connection.sendall(os.read(keyboard, 100))
""",
    )
    client.threads_wait_in(READ, RECVFROM)
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := look(client.pid)).rules and time.monotonic() < deadline:
        pass  # the rule asks for a second
    found = finding(answer, "both-wait")
    assert (found.get("severity"), found.get("certainty")) == ("note", "hint"), found
    assert "another thread of client.py" in str(found["why"])
    assert answer.status == 0


def test_the_end_of_a_pipe_that_a_background_process_keeps(start: Start, look: Look) -> None:
    program = start(
        name="program.py",
        source="""
import subprocess
print("starts", flush=True)
subprocess.run(["sh", "-c", "sleep 60 & echo started"], capture_output=True)
""",
    )
    program.threads_wait_in(POLL)
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := look(program.pid)).rules and time.monotonic() < deadline:
        pass  # the shell has not ended yet
    found = finding(answer, "pipe-stands")
    assert (found.get("severity"), found.get("certainty")) == ("warning", "strong"), found
    assert "sleep (pid" in str(found["why"])
    assert "program.py:4" in str(found["why"])


def test_a_child_made_by_fork_keeps_a_connection(start: Start, look: Look) -> None:
    server = start(
        name="server.py",
        source="""
import os, socket, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
if os.fork() == 0:
    listener.close()
    time.sleep(60)
connection.sendall(b"all")
connection.close()
os.wait()
""",
    )
    client = start(
        server.said,
        name="client.py",
        source="""
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("connected", flush=True)
while connection.recv(100): pass
""",
    )
    client.threads_wait_in(RECVFROM)
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := look(client.pid)).rules and time.monotonic() < deadline:
        pass  # the rule asks for a second
    found = finding(answer, "kept-open-elsewhere")
    # The child may be the one that is to answer: a hint.
    assert (found.get("severity"), found.get("certainty")) == ("note", "hint"), found
    assert "sleeps" in str(found["why"])


def test_a_loop_that_writes_before_it_reads_on(start: Start, look: Look) -> None:
    server = start(
        name="server.py",
        source="""
import asyncio
async def handle(reader, writer):
    while line := await reader.readline():
        writer.write(line * 100)
        await writer.drain()
async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
""",
    )
    client = start(
        server.said,
        name="client.py",
        source="""
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("connected", flush=True)
connection.sendall(b"a line\\n" * 4_000_000)
""",
    )
    client.threads_wait_in(SENDTO)
    deadline = time.monotonic() + PATIENCE_S
    while (answer := look(client.pid)).rules != ["both-wait"] and time.monotonic() < deadline:
        pass  # the last bytes find their way
    found = finding(answer, "both-wait")
    assert (found.get("severity"), found.get("certainty")) == ("error", "strong"), found
    assert "server.py:6" in str(found["why"])
    assert "client.py:5" in str(found["why"])


def test_a_lock_taken_elsewhere_whose_holder_is_the_only_other_thread(start: Start, look: Look) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        program = start(
            listener.getsockname()[1],
            name="program.py",
            source="""
import socket, sys, threading
lock, held = threading.RLock(), threading.Event()
def poll():
    with lock:
        connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        held.set()
        connection.recv(100)
threading.Thread(target=poll, daemon=True).start()
held.wait()
print("held", flush=True)
lock.acquire()
""",
        )
        connection, _ = listener.accept()
        with connection:
            program.threads_wait_in(FUTEX, RECVFROM)
            found = finding(look(program.pid), "lock-held-in-wait")
    assert (found.get("severity"), found.get("certainty")) == ("note", "hint"), found
    assert "program.py:8" in str(found["why"])


def test_an_event_loop_that_asks_a_silent_name_server(start: Start, look: Look) -> None:
    program = start(
        name="program.py",
        source="""
import select, socket
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.connect(("127.0.0.53", 53))
loop = select.epoll()
loop.register(asked, select.EPOLLIN)
print("asked", flush=True)
loop.poll(60)
""",
    )
    program.threads_wait_in(EPOLL_WAIT)
    found = finding(look(program.pid), "waits-for-name-server")
    assert (found.get("severity"), found.get("certainty")) == ("note", "hint"), found


def test_a_unix_server_of_one_client(start: Start, look: Look, tmp_path: object) -> None:
    """Its backlog is full, and the first client waits for an answer."""
    path = f"{tmp_path}/server"
    server = start(
        path,
        name="server.py",
        source="""
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(1)
print("listens", flush=True)
connection, _ = listener.accept()
connection.recv(100)
import time; time.sleep(60)
""",
    )
    clients = [
        start(
            path,
            name="client.py",
            source="""
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(b"hello")
print("sent", flush=True)
connection.recv(100)
""",
        )
        for _ in range(3)
    ]
    clients[0].threads_wait_in(RECVFROM)
    deadline = time.monotonic() + PATIENCE_S
    while len((answer := look(server.pid)).rules) < 2 and time.monotonic() < deadline:
        pass  # the rule asks for a second
    found = finding(answer, "accept-queue-stands")
    assert "2 connections have waited" in str(found.get("why")), found
    found = finding(answer, "silent-peer")
    assert "client.py:7" in str(found.get("why")), found


def test_who_asks_a_port_by_udp(start: Start, look: Look) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        client = start(
            port,
            name="client.py",
            source="""
import socket, sys
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.connect(("127.0.0.1", int(sys.argv[1])))
asked.send(b"?")
print("asked", flush=True)
asked.recv(100)
""",
        )
        client.threads_wait_in(RECVFROM)
        answer = look(f":{port}")
    assert (client.pid, "recvfrom") in [(one["pid"], one["call"]) for one in answer.threads], answer.errors


def test_a_poll_that_comes_back_is_no_time_limit(start: Start, look: Look) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start(
            listener.getsockname()[1],
            name="client.py",
            source="""
import select, socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"?")
print("asked", flush=True)
poll = select.poll()
poll.register(connection, select.POLLIN)
while not poll.poll(900): pass
""",
        )
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            deadline = time.monotonic() + PATIENCE_S
            while not (answer := look(client.pid)).rules and time.monotonic() < deadline:
                pass  # for twice its limit
    found = finding(answer, "silent-peer")
    assert (found.get("severity"), found.get("certainty")) == ("note", "hint"), found


def test_two_processes_that_read_from_each_other_and_keep_both_ends(start: Start, look: Look) -> None:
    parent = start(
        name="parent.py",
        source="""
import ctypes, os
down, up = os.pipe(), os.pipe()
if os.fork() == 0:
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: it ends with its parent
    os.read(down[0], 1)
    os.write(up[1], b"x")
    os._exit(0)
print("forked", flush=True)
os.read(up[0], 1)
""",
    )
    parent.threads_wait_in(READ)
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := look(parent.pid)).rules and time.monotonic() < deadline:
        pass  # the child is not there yet
    found = finding(answer, "pipe-stands")
    assert (found.get("severity"), found.get("certainty")) in {("error", "strong"), ("note", "hint")}, found
    assert "they wait for each other" in str(found["why"])
    assert "parent.py:6" in str(found["why"])
    assert "parent.py:10" in str(found["why"])


def test_a_pipe_that_a_third_process_could_write_to(start: Start, look: Look) -> None:
    parent = start(
        name="parent.py",
        source="""
import ctypes, os, time
down, up = os.pipe(), os.pipe()
if os.fork() == 0:
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: it ends with its parent
    os.read(down[0], 1)
    os._exit(0)
if os.fork() == 0:
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: it ends with its parent
    time.sleep(60)
print("forked", flush=True)
os.read(up[0], 1)
""",
    )
    parent.threads_wait_in(READ)
    assert "pipe-stands" not in look(parent.pid).rules


def test_a_loop_that_waits_for_room(start: Start, look: Look) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        program = start(
            listener.getsockname()[1],
            name="program.py",
            source="""
import asyncio, sys
async def main():
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    print("connected", flush=True)
    while True:
        writer.write(bytes(100_000))
        await writer.drain()
asyncio.run(main())
""",
        )
        connection, _ = listener.accept()
        with connection:
            program.threads_wait_in(EPOLL_WAIT)
            deadline = time.monotonic() + PATIENCE_S
            while not (answer := look(program.pid)).rules and time.monotonic() < deadline:
                pass  # the buffers fill
    found = finding(answer, "peer-does-not-read")
    assert (found.get("severity"), found.get("certainty")) == ("warning", "strong"), found
    assert "the peer does not read" in str(found["why"])
    assert "program.py:8" in str(found["why"])


def test_both_ends_of_a_pair_of_records_wait(start: Start, look: Look) -> None:
    parent = start(
        name="parent.py",
        source="""
import os, socket
left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if os.fork() == 0:
    left.close()
    right.recv(10)
right.close()
print("forked", flush=True)
left.recv(10)
""",
    )
    parent.threads_wait_in(RECVFROM)
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := look(parent.pid)).rules and time.monotonic() < deadline:
        pass  # the rule asks for a second
    found = finding(answer, "both-wait")
    assert (found.get("severity"), found.get("certainty")) == ("error", "certain"), found


def test_a_datagram_socket_that_nobody_reads(start: Start, look: Look, tmp_path: object) -> None:
    path = f"{tmp_path}/log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        program = start(
            path,
            name="program.py",
            source="""
import socket, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.connect(sys.argv[1])
print("connected", flush=True)
while True:
    log.send(b"a line")
""",
        )
        program.threads_wait_in(SENDTO)
        deadline = time.monotonic() + PATIENCE_S
        while not (answer := look(program.pid)).rules and time.monotonic() < deadline:
            pass  # the rule asks for half a second
    found = finding(answer, "peer-does-not-read")
    assert "program.py:7" in str(found.get("why")), found


def test_select_for_one_socket_is_a_wait_for_it(start: Start, look: Look) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        program = start(
            listener.getsockname()[1],
            name="program.py",
            source="""
import select, socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"?")
print("asked", flush=True)
select.select([connection], [], [])
""",
        )
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            deadline = time.monotonic() + PATIENCE_S
            while not (answer := look(program.pid)).rules and time.monotonic() < deadline:
                pass  # the rule asks for a second
    found = finding(answer, "silent-peer")
    assert (found.get("severity"), found.get("certainty")) == ("note", "hint"), found
    assert "program.py:6" in str(found["why"])
