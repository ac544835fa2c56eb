"""A sender with a time limit: its socket does not block, so send takes only a part of a large message."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
received = 0
sent = threading.Event()


def receive():
    global received
    connection, _ = listener.accept()
    sent.wait()
    while data := connection.recv(65536):
        received += len(data)
    connection.close()


receiver = threading.Thread(target=receive)
receiver.start()
message = b"x" * 20_000_000
with socket.create_connection(listener.getsockname(), timeout=10) as connection:
    connection.send(message)
    sent.set()
receiver.join()
print(received, "of", len(message), "bytes arrived")
