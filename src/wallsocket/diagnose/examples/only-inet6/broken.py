"""A server on :: with IPV6_V6ONLY, and a client that uses IPv4."""

import socket

listener = socket.socket(socket.AF_INET6)
listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
listener.bind(("::", 0))
listener.listen()
client = socket.socket()
try:
    client.connect(("127.0.0.1", listener.getsockname()[1]))
except OSError as error:
    print(error)
client.close()
