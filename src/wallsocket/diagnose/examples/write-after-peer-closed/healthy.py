"""The server notices the end of the stream and stops."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))


def visit():
    with socket.create_connection(listener.getsockname()) as connection:
        connection.recv(100)


client = threading.Thread(target=visit)
client.start()
connection, _ = listener.accept()
connection.sendall(b"news 1\n")
if connection.recv(100) == b"":
    print("the client has left")
connection.close()
client.join()
