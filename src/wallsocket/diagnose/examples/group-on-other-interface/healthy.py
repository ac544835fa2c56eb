"""A receiver names the interface on which it wants the group, and gets it."""

import socket

GROUP, PORT, INTERFACE = "239.3.3.5", 26008, "127.0.0.1"

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("", PORT))
receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(INTERFACE))
receiver.settimeout(5)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(INTERFACE))
sender.sendto(b"hello, all", (GROUP, PORT))
print(receiver.recv(100))
