"""Starts a service and a client of it, prints what the client got, and ends the service."""

import socket
import subprocess
import sys

service_path, client_path, size = sys.argv[1:4]
with socket.socket() as probe:
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 4567))
    except OSError:
        probe.bind(("127.0.0.1", 0))
    port = str(probe.getsockname()[1])
service = subprocess.Popen([sys.executable, service_path, port])
try:
    sys.exit(subprocess.run([sys.executable, client_path, port, size], timeout=20).returncode)
finally:
    service.terminate()
    service.wait()
