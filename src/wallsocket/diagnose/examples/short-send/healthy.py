"""sendall sends the rest when there is room again."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
received = 0


def receive():
    global received
    connection, _ = listener.accept()
    while data := connection.recv(65536):
        received += len(data)
    connection.close()


receiver = threading.Thread(target=receive)
receiver.start()
message = b"x" * 20_000_000
with socket.create_connection(listener.getsockname(), timeout=10) as connection:
    connection.sendall(message)
receiver.join()
print(received, "of", len(message), "bytes arrived")
