"""A serial server answers a question by asking itself: the second connection waits for the first."""

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


listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
outside = threading.Thread(target=client, args=(address,))
outside.start()
for _ in range(2):
    connection, _ = listener.accept()
    with connection:
        question = connection.recv(100)
        connection.sendall(ask(address) if question == b"summary\n" else b"1 2 3\n")
        connection.recv(1)
outside.join()
listener.close()
