import socket
import struct
import sys


def exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))  # HERE
        if not part:
            raise EOFError
        data += part
    return data


listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    try:
        while True:
            (length,) = struct.unpack("I", exactly(connection, 4))
            text = exactly(connection, length)
            connection.sendall(struct.pack("I", length) + text.upper())
    except (EOFError, ConnectionError):
        connection.close()
