"""The same with SO_REUSEADDR, which create_server sets."""

import socket

listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
client = socket.create_connection(address)
connection, _ = listener.accept()
connection.close()
client.recv(1)
client.close()
listener.close()
with socket.create_server(address) as again:
    print("listens again on", again.getsockname()[1])
