"""A service that takes one recv for the whole message. Its short messages arrive; a long one loses its end."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))


def serve():
    connection, _ = listener.accept()
    data = connection.recv(1024)
    connection.sendall(data.upper())
    connection.close()


def ask(message):
    with socket.create_connection(listener.getsockname()) as connection:
        connection.sendall(message)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while data := connection.recv(4096):
                answer += data
        except ConnectionResetError:
            pass
        return answer


service = threading.Thread(target=serve)
service.start()
print(len(ask(b"x" * 3000)), "of 3000 bytes came back")
service.join()
