"""A client of a daemon that is gone: the file is still there."""

import os
import socket
import tempfile

folder = tempfile.mkdtemp()
path = os.path.join(folder, "app.sock")
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(path)
    listener.listen()
with socket.socket(socket.AF_UNIX) as client:
    try:
        client.connect(path)
    except OSError as error:
        print(error)
os.unlink(path)
os.rmdir(folder)
