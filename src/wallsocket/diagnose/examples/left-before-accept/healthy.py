"""The same server with a thread for each client."""

import socket
import threading

PORT = 7044


def serve(accepted: socket.socket) -> None:
    with accepted:
        accepted.recv(1024)
        accepted.sendall(b"hello\n")


def request() -> None:
    with socket.create_connection(("127.0.0.1", PORT)) as client:
        client.sendall(b"GET /\n")
        while client.recv(1024):
            pass


with socket.create_server(("127.0.0.1", PORT)) as listener:
    clients = [threading.Thread(target=request) for _ in range(2)]
    for client in clients:
        client.start()
    workers = []
    for _ in clients:
        accepted, _ = listener.accept()
        workers.append(threading.Thread(target=serve, args=(accepted,)))
        workers[-1].start()
    for thread in (*workers, *clients):
        thread.join()
