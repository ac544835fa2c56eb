"""The same service reads until the client has half-closed."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))


def serve():
    connection, _ = listener.accept()
    message = b""
    while data := connection.recv(1024):
        message += data
    connection.sendall(message.upper())
    connection.close()


def ask(message):
    with socket.create_connection(listener.getsockname()) as connection:
        connection.sendall(message)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(4096):
            answer += data
        return answer


service = threading.Thread(target=serve)
service.start()
print(len(ask(b"x" * 3000)), "of 3000 bytes came back")
service.join()
