"""The server starts a helper that inherits the connection: the client waits for the end."""

import os
import socket
import subprocess
import sys
import time

listener = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    connection, _ = listener.accept()
    connection.set_inheritable(True)
    connection.sendall(b"the whole report")
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"], close_fds=False)
    connection.close()  # the end of the report
    time.sleep(1.5)
    print("ready", flush=True)
    time.sleep(20)
    os._exit(0)
with socket.create_connection(listener.getsockname()) as client:
    listener.close()
    report = b""
    while part := client.recv(1000):
        report += part
time.sleep(20)
