"""The same tool, where folder and socket are open to the user."""

import os
import socket
import tempfile

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "control.sock")
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(path)
        os.chmod(path, 0o660)
        daemon.listen()
        with socket.socket(socket.AF_UNIX) as tool:
            tool.connect(path)
            accepted, _ = daemon.accept()
            with accepted:
                tool.sendall(b"status\n")
                accepted.recv(100)
                accepted.sendall(b"running\n")
            while tool.recv(100):
                pass
