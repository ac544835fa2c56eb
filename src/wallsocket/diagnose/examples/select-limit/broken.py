"""A server waits with select; one day its connection gets the number 1100."""

import os
import resource
import select
import socket
import sys

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
listener = socket.create_server(("127.0.0.1", 0))
first = socket.create_connection(listener.getsockname())
select.select([listener], [], [], 5)
connection, _ = listener.accept()
files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
second = socket.create_connection(listener.getsockname())
second.sendall(b"question")
other, _ = listener.accept()
try:
    select.select([connection, other], [], [], 5)
    print(other.recv(100))
except ValueError as error:
    sys.exit(f"select: {error}")
