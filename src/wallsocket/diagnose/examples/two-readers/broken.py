"""The header is read by a buffered reader, which takes the body along; recv then waits for it."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))


def serve():
    connection, _ = listener.accept()
    length = int(connection.makefile("rb").readline())
    body = b""
    while len(body) < length:
        part = connection.recv(length - len(body))
        if not part:
            break
        body += part
    connection.sendall(b"stored %d bytes" % len(body))
    connection.close()


service = threading.Thread(target=serve)
service.start()
with socket.create_connection(listener.getsockname(), timeout=1.5) as connection:
    connection.sendall(b"20\n" + b"x" * 20)
    try:
        print(connection.recv(100))
    except TimeoutError:
        print("no answer")
service.join()
