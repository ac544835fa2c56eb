"""A service that tries the configured address, and takes all of its own otherwise."""

import socket

with socket.socket() as listener:
    listener.bind(("0.0.0.0", 8443))
    listener.listen()
    with socket.create_connection(("127.0.0.1", 8443)) as client:
        accepted, _ = listener.accept()
        with accepted:
            accepted.sendall(b"hello\n")
        while client.recv(100):
            pass
