"""Each datagram is read before the next one comes."""

import socket

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
receiver.bind(("127.0.0.1", 0))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
received = 0
for number in range(200):
    sender.sendto(number.to_bytes(2, "big") * 256, receiver.getsockname())
    receiver.recv(2048)
    received += 1
print(received, "of 200 datagrams")
