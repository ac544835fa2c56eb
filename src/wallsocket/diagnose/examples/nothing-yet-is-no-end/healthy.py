"""The client waits until there is more, and reads to the end."""

import select
import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
first_part_read = threading.Event()


def serve():
    connection, _ = listener.accept()
    connection.recv(100)
    connection.sendall(b"first part, ")
    first_part_read.wait()
    connection.sendall(b"second part")
    connection.close()


service = threading.Thread(target=serve)
service.start()
connection = socket.create_connection(listener.getsockname())
connection.sendall(b"list\n")
answer = b""
connection.setblocking(False)
while True:
    try:
        data = connection.recv(100)
    except BlockingIOError:
        first_part_read.set()
        select.select([connection], [], [])
        continue
    if not data:
        break
    answer += data
    first_part_read.set()
connection.close()
service.join()
print(answer)
