"""A burst of datagrams meets a small receive buffer and a receiver that is busy."""

import socket

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
receiver.bind(("127.0.0.1", 0))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(200):
    sender.sendto(number.to_bytes(2, "big") * 256, receiver.getsockname())
receiver.settimeout(0.2)
received = 0
try:
    while receiver.recv(2048):
        received += 1
except TimeoutError:
    print(received, "of 200 datagrams")
