"""A client with a time limit of half a second is kept for three by a server that sends a byte now and then."""

import socket
import threading
import time


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(100)
        for _ in range(10):
            connection.sendall(b".")
            time.sleep(0.3)


listener = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=serve, args=(listener,))
server.start()
began = time.monotonic()
answer = b""
with socket.create_connection(listener.getsockname(), timeout=0.5) as client:
    client.sendall(b"question")
    while part := client.recv(100):
        answer += part
print(len(answer), f"bytes; the limit is 0.5 s, it took {time.monotonic() - began:.1f} s")
server.join()
listener.close()
