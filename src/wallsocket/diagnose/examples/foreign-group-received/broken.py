"""Two programs receive two groups on one port; the first also gets what is meant for the second."""

import socket

PORT, INTERFACE = 26010, "127.0.0.1"


def receiver(group: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("", PORT))
    made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(INTERFACE))
    made.settimeout(5)
    return made


prices, news = receiver("239.4.0.1"), receiver("239.4.0.2")
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(INTERFACE))
sender.sendto(b"news: nothing new", ("239.4.0.2", PORT))
print("news:", news.recv(100))
print("prices:", prices.recv(100))
