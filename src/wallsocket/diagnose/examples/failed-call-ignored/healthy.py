"""A server that waits until the older instance has gone before it binds, and reads every result."""

import socket

older = socket.create_server(("127.0.0.1", 7002))
older.close()
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 7002))
    listener.listen()
    with socket.create_connection(("127.0.0.1", 7002)) as client:
        accepted, _ = listener.accept()
        with accepted:
            accepted.sendall(b"ready\n")
        while client.recv(100):
            pass
