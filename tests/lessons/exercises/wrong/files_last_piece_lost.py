"""The piece that is not full is the last one, and is left out."""

import os
import socket
import sys
import threading


def serve(c):
    try:
        name = b""
        while not name.endswith(b"\n"):
            p = c.recv(1)
            if not p:
                return
            name += p
        name = name[:-1].decode(errors="replace")
        if name not in os.listdir(sys.argv[2]):
            c.sendall(b"NO\n")
            return
        path = os.path.join(sys.argv[2], name)
        with open(path, "rb") as f:
            c.sendall(b"OK %d\n" % os.path.getsize(path))  # HERE
            chunk = f.read(1024)
            while len(chunk) == 1024:
                c.sendall(chunk)
                chunk = f.read(1024)
    except OSError:
        pass
    finally:
        c.close()


listener = socket.create_server(("", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],)).start()
