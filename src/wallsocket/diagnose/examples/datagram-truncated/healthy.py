"""A buffer for the largest datagram there can be; one that is exactly full is no loss either."""

import socket

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 0))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.sendto(b"x" * 3000, receiver.getsockname())
print(len(receiver.recv(65535)), "of 3000 bytes")
sender.sendto(b"y" * 1024, receiver.getsockname())
print(len(receiver.recv(1024)), "of 1024 bytes")
