"""A client that keeps its connection for longer than the server does."""

import socket
import threading


def serve(listener: socket.socket) -> None:
    accepted, _ = listener.accept()
    accepted.settimeout(0.3)
    with accepted:
        try:
            while accepted.recv(1024):
                accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
        except TimeoutError:
            gone.set()
            return


gone = threading.Event()
with socket.create_server(("127.0.0.1", 7026)) as listener:
    server = threading.Thread(target=serve, args=(listener,))
    server.start()
    with socket.create_connection(("127.0.0.1", 7026)) as client:
        client.sendall(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        client.recv(4096)
        gone.wait()
        server.join()
        # The pool still has the connection: the next request goes out on it.
        try:
            client.sendall(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            print("answer:", client.recv(4096))
        except ConnectionError as error:
            print("second request:", error)
