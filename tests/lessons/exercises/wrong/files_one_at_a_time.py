import os
import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    try:
        name = connection.makefile("rb").readline().decode().strip()
        path = os.path.join(sys.argv[2], name)
        if "/" in name or not os.path.isfile(path):
            connection.sendall(b"NO\n")
        else:
            data = open(path, "rb").read()
            connection.sendall(b"OK %d\n" % len(data))
            connection.sendall(data)  # HERE
    except OSError:
        pass
    connection.close()
