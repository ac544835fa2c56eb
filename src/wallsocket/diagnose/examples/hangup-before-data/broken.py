"""A collector closes each source as soon as poll reports its hang-up, with the last values unread."""

import select
import socket

listener = socket.create_server(("127.0.0.1", 0))
source = socket.create_connection(listener.getsockname())
connection, _ = listener.accept()
source.sendall(b"21.5\n" * 100)
source.shutdown(socket.SHUT_WR)
values = b""
poller = select.poll()
poller.register(connection, select.POLLIN | select.POLLRDHUP)
while True:
    [(_, events)] = poller.poll()
    if events & (select.POLLHUP | select.POLLRDHUP):
        break
    values += connection.recv(4096)
connection.close()
print(len(values), "bytes")
source.close()
