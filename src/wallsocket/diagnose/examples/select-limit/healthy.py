"""A server waits with a selector: the number does not matter."""

import os
import resource
import selectors
import socket

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
listener = socket.create_server(("127.0.0.1", 0))
first = socket.create_connection(listener.getsockname())
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)
selector.select(5)
connection, _ = listener.accept()
files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
second = socket.create_connection(listener.getsockname())
second.sendall(b"question")
other, _ = listener.accept()
for one in (connection, other):
    selector.register(one, selectors.EVENT_READ)
selector.select(5)
print(other.recv(100))
for one in (first, second, connection, other, listener, selector):
    one.close()
for number in files:
    os.close(number)
