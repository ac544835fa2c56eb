"""A download over a long path with a receive buffer of a fixed size."""

import socket

with socket.socket() as client:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    client.connect(("server", 7000))
    client.sendall(b"the file, please\n")
    count = 0
    while part := client.recv(65_536):
        count += len(part)
    print(count, "bytes")
