"""An old collector was left running; the new one takes the same port, and the old one gets nothing any more."""

import os
import socket
import threading
import time

PORT = 23018


def open_collector() -> socket.socket:
    collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    collector.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    collector.bind(("127.0.0.1", PORT))
    collector.settimeout(2.5)
    return collector


def collect(collector: socket.socket, until: float) -> int:
    count = 0
    while time.monotonic() < until:
        try:
            collector.recv(100)
            count += 1
        except TimeoutError:
            break
    return count


until = time.monotonic() + 2
ready, told = os.pipe()
old = open_collector()
child = os.fork()
if child == 0:
    old.close()
    new = open_collector()
    os.write(told, b"1")
    print("new:", collect(new, until))
    os._exit(0)
os.read(ready, 1)


def send() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(6):
            sender.sendto(b"%d" % number, ("127.0.0.1", PORT))


threading.Thread(target=send).start()
print("old:", collect(old, until))
os.waitpid(child, 0)
