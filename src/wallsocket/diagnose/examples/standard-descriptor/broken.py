"""A daemon that closes its standard streams the old way: its listener gets number 0, and the set-up that follows replaces it."""

import os
import socket

for number in range(3):
    os.close(number)
listener = socket.create_server(("127.0.0.1", 7008))
null = os.open("/dev/null", os.O_RDWR)
for number in range(3):
    os.dup2(null, number)
try:
    listener.accept()
except OSError:
    listener.detach()
