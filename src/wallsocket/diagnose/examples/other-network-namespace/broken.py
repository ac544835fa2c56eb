"""A server in a namespace of its own, as in a container, and a client that looks for it at 127.0.0.1."""

import socket
import subprocess
import sys

SERVER = """
import socket, sys
sys.path.insert(0, sys.argv[1])
from namespace import own_network
own_network()
with socket.create_server(("127.0.0.1", 6600)):
    print("ready", flush=True)
    sys.stdin.read()
"""

with subprocess.Popen(
    [sys.executable, "-c", SERVER, sys.path[0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
) as server:
    server.stdout.readline()
    try:
        socket.create_connection(("127.0.0.1", 6600), timeout=5)
    except OSError as error:
        print(error)
    server.stdin.close()
