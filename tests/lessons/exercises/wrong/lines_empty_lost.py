import socket
import sys

s = socket.create_server(("", int(sys.argv[1])))
while True:
    c, a = s.accept()
    buf = b""
    try:
        while part := c.recv(4096):  # HERE
            buf += part
            if b"\n" in buf:
                whole, _, buf = buf.rpartition(b"\n")
                for line in whole.splitlines():
                    c.sendall(line.upper() + b"\n")
            if len(buf) > 4096:
                break
    except OSError:
        pass
    c.close()
