"""A download over a long path with a receive buffer that grows with it."""

import socket

with socket.socket() as client:
    client.connect(("server", 7000))
    client.sendall(b"the file, please\n")
    count = 0
    while part := client.recv(65_536):
        count += len(part)
    print(count, "bytes")
