"""The same question to itself, and a thread for each client that answers it."""

import socket
import threading


def client(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(b"summary\n")
        print(connection.recv(100))


def ask(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, timeout=1.5) as connection:
        connection.sendall(b"numbers\n")
        try:
            return connection.recv(100)
        except TimeoutError:
            return b"no answer\n"


def serve(connection: socket.socket) -> None:
    with connection:
        question = connection.recv(100)
        connection.sendall(ask(address) if question == b"summary\n" else b"1 2 3\n")
        connection.recv(1)


listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
outside = threading.Thread(target=client, args=(address,))
outside.start()
workers = []
for _ in range(2):
    worker = threading.Thread(target=serve, args=(listener.accept()[0],))
    worker.start()
    workers.append(worker)
for worker in (*workers, outside):
    worker.join()
listener.close()
