import socket
import sys


def exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(min(count - len(data), 65536))  # HERE
        if not part:
            raise EOFError
        data += part
    return data


listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    try:
        while True:
            header = exactly(connection, 4)
            text = exactly(connection, int.from_bytes(header, "big"))
            connection.sendall(header + text.upper())
    except (EOFError, ConnectionError):
        connection.close()
