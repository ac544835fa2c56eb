"""A poll loop takes no notice of clients that hang up: POLLHUP wakes it at once, for ever."""

import select
import socket
import time

ours, theirs = socket.socketpair()
poller = select.poll()
poller.register(ours, select.POLLIN)
theirs.sendall(b"last words")
rounds = 0
words = b""
until = time.monotonic() + 1
while time.monotonic() < until:
    for _, events in poller.poll(200):
        rounds += 1
        if events == select.POLLIN:
            words = ours.recv(100)
            theirs.close()
        # POLLHUP: nothing is done
print(words, "and", rounds, "rounds")
ours.close()
