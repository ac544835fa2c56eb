import os
import socket
import sys
import threading


def serve(c):
    try:
        name = c.recv(256).decode(errors="replace").strip()  # HERE
        if name not in os.listdir(sys.argv[2]):
            c.sendall(b"NO\n")
            return
        with open(os.path.join(sys.argv[2], name), "rb") as f:
            c.sendall(b"OK %d\n" % os.fstat(f.fileno()).st_size)
            c.sendfile(f)
    except OSError:
        pass
    finally:
        c.close()


listener = socket.create_server(("", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],)).start()
