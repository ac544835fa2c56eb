import select
import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
clients = []
while True:
    for ready in select.select([listener, *clients], [], [])[0]:
        if ready is listener:
            clients.append(listener.accept()[0])
            continue
        try:
            line = ready.recv(4096)
        except OSError:
            line = b""
        if not line:
            clients.remove(ready)
            ready.close()
            continue
        for client in clients:
            if client is not ready:
                client.sendall(line)  # HERE
