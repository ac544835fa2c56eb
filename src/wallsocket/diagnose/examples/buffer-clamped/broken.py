"""A collector asks for a buffer of 64 MB for its bursts and does not look at what it got."""

import socket

collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
collector.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
collector.bind(("127.0.0.1", 0))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(400):
    sender.sendto(b"m" * 30_000, collector.getsockname())
collector.settimeout(0.2)
got = 0
try:
    while collector.recv(65535):
        got += 1
except TimeoutError:
    print(got, "of 400")
