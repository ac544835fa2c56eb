"""A thread writes a heartbeat by the number of the descriptor, which another thread closes meanwhile."""

import os
import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
number = client.fileno()
written, closed = threading.Event(), threading.Event()


def read():
    client.recv(100)
    client.close()
    closed.set()


def beat():
    os.write(number, b"beat\n")
    written.set()
    closed.wait()
    try:
        os.write(number, b"beat\n")
    except OSError as error:
        print("the heartbeat:", error)


threads = [threading.Thread(target=each) for each in (read, beat)]
for thread in threads:
    thread.start()
written.wait()
server.recv(100)
server.sendall(b"bye")
for thread in threads:
    thread.join()
server.close()
listener.close()
