"""A receiver names no interface, and no route says which one is meant."""

import socket

GROUP, PORT = "239.3.3.5", 26008

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("", PORT))
try:
    receiver.setsockopt(
        socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton("0.0.0.0")
    )
except OSError as error:
    print("no multicast:", error)
