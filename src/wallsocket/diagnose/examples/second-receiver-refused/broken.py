"""Two receivers of one group on one host; the first keeps the port to itself."""

import socket

GROUP, PORT, INTERFACE = "239.3.3.6", 26009, "127.0.0.1"


def receiver() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("", PORT))
    made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(INTERFACE))
    return made


first = receiver()
try:
    second = receiver()
except OSError as error:
    print("no second receiver:", error)
