"""Asks again and again, several clients at once, each on a connection of its own."""

import contextlib
import json
import pathlib
import socket
import sys
import threading
import time


def setting(name):
    return json.loads(pathlib.Path(sys.argv[1]).read_text())[name]


def ask():
    with contextlib.suppress(OSError), socket.create_connection((sys.argv[2], 4567)) as connection:
        connection.sendall(b"is anybody there?\n")
        with connection.makefile("rb") as lines:
            lines.readline()


while True:
    clients = [threading.Thread(target=ask) for _ in range(setting("clients"))]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    time.sleep(setting("pause_ms") / 1000)
