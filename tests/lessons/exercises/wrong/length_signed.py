"""The length FF FF FF FF is -1, and less than the limit."""

import socket
import sys


def exactly(c, n):
    d = b""
    while len(d) < n:
        p = c.recv(n - len(d))  # HERE
        if not p:
            raise EOFError
        d += p
    return d


listener = socket.create_server(("", int(sys.argv[1])))
while True:
    c, _ = listener.accept()
    try:
        while True:
            head = exactly(c, 4)
            n = int.from_bytes(head, "big", signed=True)
            if n > 100000:
                break
            t = exactly(c, n)
            c.sendall(head + t.upper())
    except (EOFError, OSError):
        pass
    c.close()
