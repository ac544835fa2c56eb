"""A receiver appends what it reads, and the network between keeps the order; a part that was lost is sent again."""

import socket


def bound() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(5)
    return made


network, receiver = bound(), bound()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for part in (b"ready?    ", b"ready?    ", b"part one, ", b"part two, ", b"part three"):
        sender.sendto(part, network.getsockname())
parts = [network.recv(100) for _ in range(5)]
for part in parts:
    network.sendto(part, receiver.getsockname())
print(b"".join(receiver.recv(100) for _ in range(5)))
