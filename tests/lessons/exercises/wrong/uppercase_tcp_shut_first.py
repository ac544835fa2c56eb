import socket
import sys

s = socket.create_server(("", int(sys.argv[1])))
while True:
    c, _ = s.accept()
    d = b""
    while p := c.recv(4096):
        d += p
    c.shutdown(socket.SHUT_RDWR)
    c.sendall(d.upper())  # HERE
    c.close()
