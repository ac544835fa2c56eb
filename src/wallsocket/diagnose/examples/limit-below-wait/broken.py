"""A worker asks a queue to wait three seconds for a job, and gives up itself after half of one."""

import socket
import threading
import time


def serve(connection: socket.socket) -> None:
    with connection:
        wanted = connection.recv(200)
        if wanted.startswith(b"GET /jobs?wait="):
            until = time.monotonic() + float(wanted.split()[1].partition(b"=")[2])
            connection.settimeout(max(until - time.monotonic(), 0.01))
            try:
                connection.recv(1)  # the client may go before
            except TimeoutError:
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def queue() -> None:
    for _ in range(3):
        threading.Thread(target=serve, args=(listener.accept()[0],)).start()


LIMIT_S = 0.5
listener = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=queue)
server.start()
for _ in range(3):
    with socket.create_connection(listener.getsockname(), timeout=LIMIT_S) as worker:
        worker.sendall(b"GET /jobs?wait=3 HTTP/1.1\r\nHost: queue\r\n\r\n")
        try:
            print(worker.recv(200))
        except TimeoutError:
            print("the queue does not answer, once more")
server.join()
listener.close()
