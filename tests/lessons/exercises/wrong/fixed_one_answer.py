import socket
import sys

s = socket.create_server(("", int(sys.argv[1])))
while True:
    c, a = s.accept()
    m = b""
    while len(m) < 16:
        p = c.recv(16 - len(m))
        if not p:
            break
        m += p
    if len(m) == 16:
        c.sendall(m.upper())
    c.close()  # HERE
