"""As calls.c, in Python."""

import json
import socket
import sys
import time

a, b = socket.socketpair()
data = b"x" * 64


def talk(rounds: int) -> None:
    for _ in range(rounds):
        a.send(data)
        b.recv(64)


talk(1000)
clock, processor = time.monotonic(), time.process_time()
talk(int(sys.argv[1]))
print(json.dumps({"secs": time.monotonic() - clock, "processor": time.process_time() - processor}))
