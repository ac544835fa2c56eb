"""A reader that does not know the end of the stream: recv returns b"" at once, again and again."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))


def visit():
    with socket.create_connection(listener.getsockname()) as connection:
        connection.sendall(b"hello\n")


client = threading.Thread(target=visit)
client.start()
connection, _ = listener.accept()
text = b""
for _ in range(500):  # a real one loops for ever
    text += connection.recv(1024)
print(text)
connection.close()
client.join()
