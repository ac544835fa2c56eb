"""Python takes the port as a plain number."""

import socket

listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
with socket.socket() as client:
    client.connect(("127.0.0.1", port))
    connection, _ = listener.accept()
    connection.close()
print("connected to port", port)
