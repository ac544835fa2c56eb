import os
import socket
import sys

server = socket.create_server(("", int(sys.argv[1])))
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
while True:
    c, _ = server.accept()
    try:
        with c:
            data = b""
            while part := c.recv(8192):
                data += part
            c.sendall(data.upper())
    except ConnectionError:
        pass
