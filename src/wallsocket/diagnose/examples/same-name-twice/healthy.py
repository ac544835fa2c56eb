"""Each sensor has a name of its own, and its session stands."""

import socket
import threading

sessions = {}
taken = threading.Semaphore(0)
over = threading.Event()


def serve(connection):
    name = connection.recv(64)
    connection.sendall(b"welcome\n")
    older, sessions[name] = sessions.get(name), connection
    if older is not None:
        older.shutdown(socket.SHUT_RDWR)
        taken.release()
    with connection:
        while connection.recv(64):
            connection.sendall(b"noted\n")


def accept():
    while not over.is_set():
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def sensor(name):
    while not over.is_set():
        with socket.create_connection(listener.getsockname()) as connection:
            connection.sendall(name)
            connection.recv(64)
            connection.sendall(b"temperature 21.5\n")
            connection.recv(64)
            over.wait(0.1)
            while not over.is_set() and connection.recv(64):
                pass
        over.wait(0.1)


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=accept, daemon=True).start()
for name in (b"LOGIN sensor 1\n", b"LOGIN sensor 2\n"):
    threading.Thread(target=sensor, args=(name,), daemon=True).start()
taken.acquire(timeout=1)
over.set()
