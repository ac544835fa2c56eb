"""A service that answers with its version: service.py PORT VERSION."""

import contextlib
import socket
import sys

with socket.socket() as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen()
    listener.settimeout(2)
    print("ready", flush=True)
    with contextlib.suppress(TimeoutError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(sys.argv[2].encode())
