"""A server under edge-triggered epoll reads until there is nothing more, then waits for what comes next."""

import select
import socket
import threading
import time


def client(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(b"r" * 1500 + b"\n")
        connection.settimeout(1.5)
        try:
            print(connection.recv(100))
        except TimeoutError:
            connection.sendall(b"\n")  # is anybody there?
            connection.settimeout(5)
            print(connection.recv(100))


listener = socket.create_server(("127.0.0.1", 0))
asks = threading.Thread(target=client, args=(listener.getsockname(),))
asks.start()
connection, _ = listener.accept()
time.sleep(0.1)
connection.setblocking(False)
epoll = select.epoll()
epoll.register(connection, select.EPOLLIN | select.EPOLLET)
request = b""
while not request.endswith(b"\n"):
    for _ in epoll.poll(10):
        while True:
            try:
                request += connection.recv(1024)
            except BlockingIOError:
                break
connection.sendall(b"%d bytes\n" % len(request))
asks.join()
epoll.close()
connection.close()
listener.close()
