"""A logger that does not wait: what finds no room is dropped."""

import os
import socket
import tempfile

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "log")
    service = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    service.bind(path)
    logger = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    logger.setblocking(False)
    lost = 0
    for number in range(1000):
        try:
            logger.sendto(b"line %d" % number, path)
        except BlockingIOError:
            lost += 1
    print(lost, "lines lost")
