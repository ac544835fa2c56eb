"""Takes what clients send, in pieces, and thinks a while about each."""

import json
import pathlib
import socket
import sys
import time


def setting(name):
    return json.loads(pathlib.Path(sys.argv[1]).read_text())[name]


listener = socket.create_server(("0.0.0.0", 4567))
print("listening", flush=True)
while True:
    if setting("receive_buffer"):
        # A connection has the size from its first segment on, so it is the listener's.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, setting("receive_buffer"))
    connection, _ = listener.accept()
    with connection:
        while connection.recv(setting("read")):
            time.sleep(setting("work_ms") / 1000)
