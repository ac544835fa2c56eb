"""A discovery that may broadcast, and a service that answers."""

import socket

service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
service.bind(("", 26001))
finder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
finder.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
finder.settimeout(5)
finder.sendto(b"who is there?", ("127.255.255.255", 26001))
question, asker = service.recvfrom(512)
service.sendto(b"a printer", ("127.0.0.1", asker[1]))
print(finder.recvfrom(512))
