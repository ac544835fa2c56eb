"""A service in a sandbox (Landlock) that allows port 6500 only."""

import socket

from sandbox import allow_bind

allow_bind(6500)
with socket.socket() as listener:
    try:
        listener.bind(("127.0.0.1", 6501))
        listener.listen()
    except OSError as error:
        print(error)
