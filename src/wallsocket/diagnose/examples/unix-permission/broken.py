"""A control tool that may not use the daemon's socket: the folder is closed."""

import os
import socket
import tempfile

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "control.sock")
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(path)
        daemon.listen()
        os.chmod(folder, 0o000)
        with socket.socket(socket.AF_UNIX) as tool:
            try:
                tool.connect(path)
            except PermissionError as error:
                print("control:", error)
        os.chmod(folder, 0o700)
