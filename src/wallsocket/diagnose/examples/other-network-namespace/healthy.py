"""Both share one network."""

import socket
import subprocess
import sys

SERVER = """
import socket, sys
with socket.create_server(("127.0.0.1", 6600)) as listener:
    print("ready", flush=True)
    connection, _ = listener.accept()
    connection.close()
"""

with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as server:
    server.stdout.readline()
    socket.create_connection(("127.0.0.1", 6600), timeout=5).close()
