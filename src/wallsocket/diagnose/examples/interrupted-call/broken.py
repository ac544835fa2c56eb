"""A handler that raises ends a read in the middle: the client takes the timer's signal for a lost connection."""

import signal
import socket
import threading
import time


class Tick(Exception):
    """The profiler's timer went off."""


def serve(listener: socket.socket) -> None:
    for _ in range(2):
        connection, _ = listener.accept()
        with connection:
            if connection.recv(100):
                time.sleep(0.7)
                connection.sendall(b"answer")
                connection.recv(100)


def tick(number: int, frame: object) -> None:
    raise Tick


def ask() -> bytes:
    with socket.create_connection(address) as client:
        client.sendall(b"question")
        return client.recv(100)


listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
server = threading.Thread(target=serve, args=(listener,))
server.start()
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    answer = ask()
except Tick:  # "connection lost": once more
    answer = ask()
print(answer)
server.join()
listener.close()
