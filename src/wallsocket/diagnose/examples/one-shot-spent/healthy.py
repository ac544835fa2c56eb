"""A server watches its clients with EPOLLONESHOT and arms them again after each question."""

import select
import socket
import threading


def client(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        connection.settimeout(2)
        try:
            for number in range(2):
                connection.sendall(b"question %d\n" % number)
                print(connection.recv(100).decode(), end="")
        except TimeoutError:
            print("no answer")


listener = socket.create_server(("127.0.0.1", 0))
asks = threading.Thread(target=client, args=(listener.getsockname(),))
asks.start()
connection, _ = listener.accept()
epoll = select.epoll()
epoll.register(connection, select.EPOLLIN | select.EPOLLONESHOT)
for _ in range(3):
    for _ in epoll.poll(5):
        question = connection.recv(100)
        if question:
            connection.sendall(b"answer to " + question)
            epoll.modify(connection, select.EPOLLIN | select.EPOLLONESHOT)
    if not asks.is_alive():
        break
asks.join()
epoll.close()
connection.close()
listener.close()
