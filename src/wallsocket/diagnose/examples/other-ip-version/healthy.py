"""A client that tries each address of the name until one answers."""

import socket

listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
for family, host in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")):
    with socket.socket(family) as client:
        try:
            client.connect((host, port))
            print("connected to", host)
        except OSError as error:
            print(host, error)
