"""A client that must not block takes the first BlockingIOError for the end of the answer."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
first_part_read = threading.Event()


def serve():
    connection, _ = listener.accept()
    connection.recv(100)
    connection.sendall(b"first part, ")
    first_part_read.wait()
    try:
        connection.sendall(b"second part")
    except OSError as error:
        print("server:", error)
    connection.close()


service = threading.Thread(target=serve)
service.start()
connection = socket.create_connection(listener.getsockname())
connection.sendall(b"list\n")
answer = connection.recv(100)
connection.setblocking(False)
while True:
    try:
        data = connection.recv(100)
    except BlockingIOError:
        break
    if not data:
        break
    answer += data
connection.close()
first_part_read.set()
service.join()
print(answer)
