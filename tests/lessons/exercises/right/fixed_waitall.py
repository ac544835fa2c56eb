"""The kernel collects: MSG_WAITALL."""

import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    with connection:
        try:
            while len(message := connection.recv(16, socket.MSG_WAITALL)) == 16:
                connection.sendall(message.upper())
        except ConnectionError:
            continue
