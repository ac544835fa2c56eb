"""A discovery that forgets to ask for the right to broadcast."""

import socket

finder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
finder.settimeout(0.5)
try:
    finder.sendto(b"who is there?", ("127.255.255.255", 26001))
    print(finder.recvfrom(512))
except PermissionError as error:
    print("no discovery:", error)
