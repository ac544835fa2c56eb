"""Answers while it reads, one thread for each client."""

import socket
import sys
import threading


def serve(connection):
    with connection:
        try:
            while True:
                part = connection.recv(4096)
                if not part:
                    break
                connection.sendall(part.upper())
        except OSError as error:
            print("a client is gone:", error, file=sys.stderr)


listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", int(sys.argv[1])))
listener.listen(16)
while True:
    connection, address = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
