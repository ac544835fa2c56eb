"""Starts a service and a client of it, prints what the client got, and ends the service."""

import contextlib
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
status = 130
# Ctrl-C reaches this program alone, which ends the two others: each would print a traceback.
service = subprocess.Popen([sys.executable, service_path, port], process_group=0)
try:
    with contextlib.suppress(KeyboardInterrupt):
        client = [sys.executable, client_path, port, size]
        status = subprocess.run(client, timeout=20, process_group=0).returncode
finally:
    service.terminate()
    service.wait()
sys.exit(status)
