"""A client that looks whether its kept connection is still there, and makes a new one."""

import select
import socket
import threading


def serve(listener: socket.socket) -> None:
    for _ in range(2):
        accepted, _ = listener.accept()
        accepted.settimeout(0.3)
        with accepted:
            try:
                while accepted.recv(1024):
                    accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
            except TimeoutError:
                gone.set()


def request(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.recv(4096)


gone = threading.Event()
with socket.create_server(("127.0.0.1", 7026)) as listener:
    server = threading.Thread(target=serve, args=(listener,))
    server.start()
    client = socket.create_connection(("127.0.0.1", 7026))
    request(client)
    gone.wait()
    if select.select([client], [], [], 10)[0]:
        # Readable without a question: that can only be its end.
        assert client.recv(1) == b""
        client.close()
        client = socket.create_connection(("127.0.0.1", 7026))
    request(client)
    client.close()
    server.join()
