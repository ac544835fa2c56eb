import select
import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])), backlog=128)
received = {}
while True:
    for ready in select.select([listener, *received], [], [])[0]:
        if ready is listener:
            received[listener.accept()[0]] = b""
            continue
        try:
            part = ready.recv(65536)
            *lines, received[ready] = (received[ready] + part).split(b"\n")
            for line in lines:
                ready.sendall(line.upper() + b"\n")  # HERE
        except ConnectionError:
            part = b""
        if not part:
            del received[ready]
            ready.close()
