"""A server that answers without reading the whole request, and closes: the client is reset."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
written = threading.Event()


def serve():
    connection, _ = listener.accept()
    written.wait()
    connection.sendall(b"busy, try later\n")
    connection.close()


service = threading.Thread(target=serve)
service.start()
with socket.create_connection(listener.getsockname()) as connection:
    connection.sendall(b"x" * 500)
    written.set()
    service.join()
    try:
        connection.sendall(b"x" * 500)
        print(connection.recv(100))
    except OSError as error:
        print(error)
