import socket
import sys
import threading


def serve(c):
    with c:
        buf = b""
        while part := c.recv(4096):
            buf += part
            while b"\n" in buf:
                line, buf = buf.split(b"\n", 1)
                first = line[0]  # HERE
                c.sendall(line.upper() + b"\n")
            if len(buf) > 4096:
                return


s = socket.create_server(("", int(sys.argv[1])))
while True:
    c, _ = s.accept()
    threading.Thread(target=serve, args=(c,), daemon=True).start()
