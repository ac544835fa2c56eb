import socket
import sys

LIMIT = 4097

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as lines:
        try:
            while (line := lines.readline(LIMIT)).endswith(b"\n"):
                connection.sendall(line.upper())
        except ConnectionError:
            pass
