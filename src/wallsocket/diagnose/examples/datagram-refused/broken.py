"""A client of a time service that nobody has started."""

import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(2)
    client.connect(("127.0.0.1", 23123))
    client.send(b"what time is it?")
    try:
        print(client.recv(100))
    except ConnectionRefusedError as error:
        print("refused, without a connection:", error)
