"""Sends many bytes on a connection, then begins again."""

import contextlib
import json
import pathlib
import socket
import sys
import time


def setting(name):
    return json.loads(pathlib.Path(sys.argv[1]).read_text())[name]


while True:
    with contextlib.suppress(OSError), socket.socket() as connection:
        if setting("send_buffer"):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, setting("send_buffer"))
        connection.connect((sys.argv[2], 4567))
        connection.sendall(bytes(setting("size")))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)  # the end: the server has taken everything
    time.sleep(setting("pause_ms") / 1000)
