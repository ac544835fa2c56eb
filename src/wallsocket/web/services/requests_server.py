"""Answers each request in capitals, one connection after the other."""

import json
import pathlib
import socket
import sys
import time


def setting(name):
    return json.loads(pathlib.Path(sys.argv[1]).read_text())[name]


backlog = setting("backlog")
listener = socket.create_server(("0.0.0.0", 4567), backlog=backlog)
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as lines:
        request = lines.readline()
        time.sleep(setting("work_ms") / 1000)
        connection.sendall(request.upper())
    if setting("backlog") != backlog:
        backlog = setting("backlog")
        listener.listen(backlog)
