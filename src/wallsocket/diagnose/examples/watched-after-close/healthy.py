"""A server hands a connection to a child and takes it out of its epoll set before it closes its own descriptor."""

import os
import select
import socket
import threading
import time


def client(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(b"question")
        print(connection.recv(100))


listener = socket.create_server(("127.0.0.1", 0))
asks = threading.Thread(target=client, args=(listener.getsockname(),))
asks.start()
connection, _ = listener.accept()
epoll = select.epoll()
epoll.register(connection, select.EPOLLIN)
child = os.fork()
if child == 0:
    listener.close()
    time.sleep(1)
    connection.recv(100)
    connection.sendall(b"answer")
    connection.close()
    os._exit(0)
epoll.unregister(connection)
connection.close()  # the child has it
rounds = 0
until = time.monotonic() + 1.5
while time.monotonic() < until:
    rounds += len(epoll.poll(0.1))
print(rounds, "events")
os.waitpid(child, 0)
asks.join()
epoll.close()
listener.close()
