"""The timer's handler only counts; the interrupted read is repeated (PEP 475) and brings the answer."""

import signal
import socket
import threading
import time


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(100)
        time.sleep(0.7)
        connection.sendall(b"answer")
        connection.recv(100)


def tick(number: int, frame: object) -> None:
    ticks.append(number)


def ask() -> bytes:
    with socket.create_connection(address) as client:
        client.sendall(b"question")
        return client.recv(100)


ticks: list[int] = []
listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
server = threading.Thread(target=serve, args=(listener,))
server.start()
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.3)
print(ask(), "and", len(ticks), "tick")
server.join()
listener.close()
