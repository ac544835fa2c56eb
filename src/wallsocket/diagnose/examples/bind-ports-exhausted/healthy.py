"""Each listener is closed when its job is done."""

import socket

for _ in range(20):
    with socket.socket() as answer:
        answer.bind(("127.0.0.1", 0))
        answer.listen()
