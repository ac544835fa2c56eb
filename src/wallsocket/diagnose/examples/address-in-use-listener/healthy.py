"""Two servers on two ports, and one that is started again after the other has stopped."""

import socket

first = socket.create_server(("127.0.0.1", 0))
second = socket.create_server(("127.0.0.1", 0))
address = first.getsockname()
first.close()
again = socket.create_server(address)
print(again.getsockname()[1] != second.getsockname()[1])
