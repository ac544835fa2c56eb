"""Two workers of one service share a port by SO_REUSEPORT, and each serves what comes to it."""

import os
import socket

PORT = 23018


def open_worker() -> socket.socket:
    worker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    worker.bind(("127.0.0.1", PORT))
    return worker


one = open_worker()
child = os.fork()
if child == 0:
    one.close()
    other = open_worker()
    other.settimeout(1.2)
    try:
        while True:
            question, asker = other.recvfrom(100)
            other.sendto(question, asker)
    except TimeoutError:
        os._exit(0)
one.settimeout(1.2)
for number in range(20):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"%d" % number, ("127.0.0.1", PORT))
try:
    while True:
        question, asker = one.recvfrom(100)
except TimeoutError:
    os.waitpid(child, 0)
