"""The daemon looks whether anybody is behind the file, and removes it when nobody is."""

import os
import socket
import tempfile


def serve(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
    except OSError:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
                listener.bind(path)
            else:
                raise
    listener.listen()
    return listener


folder = tempfile.mkdtemp()
path = os.path.join(folder, "app.sock")
serve(path).close()
with serve(path) as listener, socket.socket(socket.AF_UNIX) as client:
    client.connect(path)
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"ok")
    print(client.recv(100))
os.unlink(path)
os.rmdir(folder)
