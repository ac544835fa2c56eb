"""The same server takes IPv4, too."""

import socket

listener = socket.socket(socket.AF_INET6)
listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
listener.bind(("::", 0))
listener.listen()
with socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as client:
    connection, _ = listener.accept()
    connection.close()
    print(client.recv(10))
listener.close()
