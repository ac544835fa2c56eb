import socket
import struct
import sys


def exactly(c, n):
    d = b""
    while len(d) < n:
        p = c.recv(n - len(d))
        if not p:
            raise EOFError
        d += p
    return d


listener = socket.create_server(("", int(sys.argv[1])))
while True:
    c, _ = listener.accept()
    try:
        while True:
            (n,) = struct.unpack(">I", exactly(c, 4))
            if n > 65535:
                break
            t = exactly(c, n)
            c.sendall(struct.pack(">I", len(t)) + t.upper())
    except (EOFError, OSError):
        pass
    c.close()  # HERE
