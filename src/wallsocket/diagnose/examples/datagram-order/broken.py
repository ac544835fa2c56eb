"""A receiver appends what it reads; the network between has exchanged two parts."""

import socket


def bound() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(5)
    return made


network, receiver = bound(), bound()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for part in (b"part one, ", b"part two, ", b"part three"):
        sender.sendto(part, network.getsockname())
parts = [network.recv(100) for _ in range(3)]
for part in (parts[1], parts[0], parts[2]):
    network.sendto(part, receiver.getsockname())
print(b"".join(receiver.recv(100) for _ in range(3)))
