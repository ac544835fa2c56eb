"""A daemon that crashed left its socket's file; the next one cannot bind the path."""

import os
import socket
import subprocess
import sys
import tempfile

DAEMON = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
connection, _ = listener.accept()
connection.sendall(connection.recv(100))
os._exit(1)
"""

folder = tempfile.mkdtemp()
path = os.path.join(folder, "app.sock")
with subprocess.Popen([sys.executable, "-c", DAEMON, path], stdout=subprocess.PIPE) as daemon:
    daemon.stdout.readline()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"reload")
        client.recv(100)

with socket.socket(socket.AF_UNIX) as listener:
    try:
        listener.bind(path)
    except OSError as error:
        print(error)
os.unlink(path)
os.rmdir(folder)
