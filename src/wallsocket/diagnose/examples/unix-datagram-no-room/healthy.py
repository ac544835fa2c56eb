"""A logger that waits for room and sends the same line again."""

import os
import select
import socket
import tempfile
import threading

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "log")
    service = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    service.bind(path)
    count = 0
    full = threading.Event()

    def serve() -> None:
        global count
        full.wait()
        while service.recv(100) != b"line 999":
            count += 1

    thread = threading.Thread(target=serve)
    thread.start()
    logger = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    logger.connect(path)
    logger.setblocking(False)
    for number in range(1000):
        while True:
            try:
                logger.send(b"line %d" % number)
                break
            except BlockingIOError:
                full.set()
                select.select([], [logger], [])
    thread.join()
    print(count + 1, "lines")
