"""A receiver of prices joins its group, but is bound to the address of its interface."""

import socket

GROUP, PORT, INTERFACE = "239.3.3.3", 26006, "127.0.0.1"

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind((INTERFACE, PORT))
receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(INTERFACE))
receiver.settimeout(0.5)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(INTERFACE))
for price in (b"12.50", b"12.60"):
    sender.sendto(price, (GROUP, PORT))
try:
    print(receiver.recv(100))
except TimeoutError:
    print("no price")
