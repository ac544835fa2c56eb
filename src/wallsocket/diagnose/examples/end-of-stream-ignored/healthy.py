"""The reader leaves its loop at the end of the stream."""

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
while data := connection.recv(1024):
    text += data
print(text)
connection.close()
client.join()
