"""A server that goes on sending to a client that has left."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
left = threading.Event()


def visit():
    connection = socket.create_connection(listener.getsockname())
    connection.recv(100)
    connection.close()
    left.set()


client = threading.Thread(target=visit)
client.start()
connection, _ = listener.accept()
connection.sendall(b"news 1\n")
left.wait()
try:
    for number in range(2, 1000):
        connection.sendall(b"news %d\n" % number)
except OSError as error:
    print(error)
connection.close()
client.join()
