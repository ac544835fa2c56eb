"""Both ends know how long a message is."""

import os
import socket

listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
if os.fork() == 0:
    listener.close()
    with socket.create_connection(address) as connection:
        connection.sendall(b"helloworld")
        print(connection.recv(10))
    os._exit(0)
connection, _ = listener.accept()
listener.close()
message = b""
while len(message) < 10:
    message += connection.recv(10 - len(message))
connection.sendall(message)
connection.close()
os.wait()
