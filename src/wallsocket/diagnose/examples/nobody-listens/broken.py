"""A client of a server that was never started."""

import socket

with socket.create_server(("127.0.0.1", 0)) as listener:
    address = listener.getsockname()  # free from here on
other = socket.create_server(("127.0.0.1", 0))
client = socket.socket()
try:
    client.connect(address)
except ConnectionRefusedError as error:
    print(error)
client.close()
