"""The collector asks for what it may have, checks it, and gets smaller bursts."""

import socket

collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
collector.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
granted = collector.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
collector.bind(("127.0.0.1", 0))
collector.settimeout(5)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
got = 0
for _ in range(40):
    for _ in range(granted // 50_000):
        sender.sendto(b"m" * 10_000, collector.getsockname())
    for _ in range(granted // 50_000):
        got += len(collector.recv(65535)) > 0
print(got, "read")
