"""A receiver whose buffer is smaller than the datagrams: their ends are thrown away."""

import socket

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 0))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.sendto(b"x" * 3000, receiver.getsockname())
print(len(receiver.recv(1024)), "of 3000 bytes")
