"""An older instance still runs; SO_REUSEPORT lets the new one share its port."""

import os
import socket
import subprocess
import sys

with socket.socket() as chooser:
    chooser.bind(("127.0.0.1", 0))
    port = str(chooser.getsockname()[1])
servers = []
for version in ("1.0", "1.1"):
    # By a shell, as services are started: nobody knows of the other one.
    command = ["sh", "-c", '"$@"; :', "sh", sys.executable, os.path.join(sys.path[0], "service.py"), port, version]
    servers.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    servers[-1].stdout.readline()
answers = []
for _ in range(12):
    with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as client:
        answers.append(client.recv(10).decode())
print(*answers)
for server in servers:
    server.wait()
    server.stdout.close()
