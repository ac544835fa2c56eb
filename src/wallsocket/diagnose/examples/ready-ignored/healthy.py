"""A poll loop that closes what has hung up, and serves a busy client at every turn."""

import select
import socket

pairs = [socket.socketpair() for _ in range(2)]
poller = select.poll()
for ours, _ in pairs:
    poller.register(ours, select.POLLIN)
by_number = {ours.fileno(): (ours, theirs) for ours, theirs in pairs}
left = dict.fromkeys(by_number, 300)
for _, theirs in pairs:
    theirs.sendall(b"x")
while by_number:
    for number, _ in poller.poll(1000):
        ours, theirs = by_number[number]
        if not ours.recv(100):
            poller.unregister(ours)
            del by_number[number]
            ours.close()
        elif left[number]:
            left[number] -= 1
            theirs.sendall(b"x")
        else:
            theirs.close()
print("both are done")
