"""The printer takes its jobs at once and prints them one by one; the sender waits for nobody."""

import queue
import socket
import threading
import time


def printer(listener: socket.socket) -> None:
    jobs: queue.Queue[bytes] = queue.Queue()
    connection, _ = listener.accept()
    with connection:
        while block := connection.recv(65536):
            jobs.put(block)
        connection.sendall(b"%d jobs\n" % jobs.qsize())
    for _ in range(5):
        jobs.get()
        time.sleep(0.1)  # prints a label


listener = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=printer, args=(listener,))
server.start()
with socket.create_connection(listener.getsockname()) as client:
    for _ in range(100):
        client.sendall(bytes(100_000))
    client.shutdown(socket.SHUT_WR)
    print(client.recv(100))
server.join()
listener.close()
