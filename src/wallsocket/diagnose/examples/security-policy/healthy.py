"""The service uses the port that its sandbox allows."""

import socket

from sandbox import allow_bind

allow_bind(6500)
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 6500))
    listener.listen()
