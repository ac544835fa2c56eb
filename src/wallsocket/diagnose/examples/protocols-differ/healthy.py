"""Both ends speak the same."""

import os
import socket

listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
if os.fork() == 0:
    listener.close()
    with socket.create_connection(address) as connection:
        connection.sendall(b"HELLO\r\n")
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(4096):
            print(part)
    os._exit(0)
connection, _ = listener.accept()
request = b""
while part := connection.recv(4096):
    request += part
connection.sendall(b"OK\r\n")
connection.close()
os.wait()
