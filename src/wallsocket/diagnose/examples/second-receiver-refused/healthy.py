"""Two receivers of one group on one host, each with SO_REUSEADDR."""

import socket

GROUP, PORT, INTERFACE = "239.3.3.6", 26009, "127.0.0.1"


def receiver() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("", PORT))
    made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(INTERFACE))
    return made


first = receiver()
try:
    second = receiver()
except OSError as error:
    print("no second receiver:", error)
