import os
import socket
import sys
import threading

folder = sys.argv[2]


def serve(connection):
    connection.settimeout(30)
    try:
        name = connection.makefile("rb").readline().decode().strip()
        path = os.path.join(folder, os.path.basename(name))
        if name != os.path.basename(name) or not os.path.isfile(path):
            connection.sendall(b"NO\n")
        else:
            data = open(path, "rb").read()
            connection.sendall(f"OK {len(data)}\n".encode())
            connection.send(data)  # HERE
    except OSError:
        pass
    connection.close()


listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    threading.Thread(target=serve, args=(connection,)).start()
