import os
import socket
import sys
import threading

folder = sys.argv[2]


def serve(connection):
    try:
        name = connection.makefile("rb").readline().decode().strip()
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            connection.sendall(b"NO\n")
        else:
            data = open(path, "rb").read()
            connection.sendall(f"OK {len(data)}\n".encode() + data)  # HERE
    except OSError:
        pass
    connection.close()


listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    threading.Thread(target=serve, args=(connection,)).start()
