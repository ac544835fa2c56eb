"""A server that serves one client after another, and a second client whose patience ends before its turn comes."""

import socket
import threading

PORT = 7044


def impatient() -> None:
    with socket.create_connection(("127.0.0.1", PORT)) as client:
        client.sendall(b"GET /\n")
        client.settimeout(0.8)
        try:
            client.recv(1024)
        except TimeoutError:
            print("second client: timed out")


with socket.create_server(("127.0.0.1", PORT)) as listener:
    with socket.create_connection(("127.0.0.1", PORT)) as first:
        accepted, _ = listener.accept()
        second = threading.Thread(target=impatient)
        second.start()
        # Work for the first client that takes longer than the second one waits.
        second.join()
        first.sendall(b"thanks\n")
        accepted.recv(1024)
        accepted.close()
        first.recv(1024)
    accepted, _ = listener.accept()
    with accepted:
        accepted.recv(1024)
