"""The server says no more is to come, reads what the client still sends, and closes then."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))


def serve():
    connection, _ = listener.accept()
    connection.sendall(b"busy, try later\n")
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass
    connection.close()


service = threading.Thread(target=serve)
service.start()
with socket.create_connection(listener.getsockname()) as connection:
    connection.sendall(b"x" * 1000)
    connection.shutdown(socket.SHUT_WR)
    print(connection.recv(100), connection.recv(100))
service.join()
