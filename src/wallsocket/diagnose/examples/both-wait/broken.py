"""The server waits for ten bytes; the client has sent five and waits for the answer."""

import os
import signal
import socket

signal.alarm(3)  # a real one waits for ever
listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
if os.fork() == 0:
    signal.alarm(3)
    listener.close()
    connection = socket.create_connection(address)
    connection.sendall(b"hello")
    print(connection.recv(10))
    os._exit(0)
connection, _ = listener.accept()
listener.close()
message = b""
while len(message) < 10:
    message += connection.recv(10 - len(message))
connection.sendall(message)
