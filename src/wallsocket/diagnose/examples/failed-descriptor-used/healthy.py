"""The same client, which looks at each result."""

import ctypes
import socket

library = ctypes.CDLL(None, use_errno=True)
with socket.create_server(("127.0.0.1", 7005)) as listener:
    descriptor = library.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    assert descriptor >= 0
    client = socket.socket(fileno=descriptor)
    client.connect(("127.0.0.1", 7005))
    accepted, _ = listener.accept()
    library.send(descriptor, b"hello", 5, 0)
    client.close()
    with accepted:
        while accepted.recv(100):
            pass
