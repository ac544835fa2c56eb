"""Talks in every common way between two processes, each step when the one before is over: the same calls in every run.

Its folder (first argument) gets ``ready`` when the sockets stand as they are to be looked at; it goes on when ``go`` is there.
It begins when ``start`` is there.
"""

import os
import select
import socket
import struct
import sys
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])
HERE = "127.0.0.1"
MANY = 40


def wait_for(name: str) -> None:
    while not (FOLDER / name).exists():
        time.sleep(0.01)


def exactly(connection: socket.socket, count: int) -> bytes:
    return connection.recv(count, socket.MSG_WAITALL)


def client(turns: socket.socket) -> None:
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.bind((HERE, 4001))
    connection.connect((HERE, 4000))
    for number in range(MANY):
        connection.sendall(struct.pack("!H", number) * 50)
        exactly(connection, 60)
    connection.sendmsg([b"one", b"two"], [], 0)
    connection.shutdown(socket.SHUT_WR)
    assert exactly(connection, 4) == b"over"
    assert connection.recv(10) == b""
    connection.close()
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((HERE, 4003))
    for number in range(MANY):
        sender.sendto(b"d" * (number + 1), (HERE, 4002))
        turns.recv(1)
    sender.close()
    refused = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    refused.bind((HERE, 4005))
    assert refused.connect_ex((HERE, 4004))
    refused.close()
    # As it is looked at: three bytes that nobody reads, a closed half, a connection that nobody accepts.
    unread, half, waiting = (socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(3))
    for number, one in enumerate((unread, half, waiting)):
        one.bind((HERE, 4010 + number))
        one.connect((HERE, 4000))
        turns.send(b"c")
        turns.recv(1)
    unread.send(b"abc")
    half.shutdown(socket.SHUT_WR)
    turns.send(b"t")
    turns.recv(1)
    for one in (unread, half, waiting):
        one.close()


def main() -> None:
    wait_for("start")
    turns, others = socket.socketpair()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HERE, 4000))
    listener.listen(5)
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind((HERE, 4002))
    child = os.fork()
    if child == 0:
        for one in (turns, listener, receiver):
            one.close()
        client(others)
        os._exit(0)
    others.close()
    connection, _ = listener.accept()
    connection.settimeout(None)
    for _ in range(MANY):
        exactly(connection, 100)
        os.write(connection.fileno(), b"r" * 60)
    assert exactly(connection, 6) == b"onetwo"
    assert connection.recv(10) == b""
    connection.send(b"over")
    connection.close()
    for number in range(MANY):
        assert len(receiver.recvfrom(20)[0]) == min(20, number + 1)
        turns.send(b"n")
    kept = []
    poll = select.poll()
    poll.register(turns, select.POLLIN)
    for number in range(3):
        poll.poll(60_000)
        turns.recv(1)
        if number < 2:
            kept.append(listener.accept()[0])
        turns.send(b"n")
    turns.recv(1)
    (FOLDER / "ready").touch()
    wait_for("go")
    turns.send(b"e")
    os.waitpid(child, 0)
    for one in (*kept, listener, receiver, turns):
        one.close()


main()
