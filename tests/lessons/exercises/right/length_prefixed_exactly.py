import socket
import struct
import sys

LIMIT = 100_000


def exactly(connection, count):
    data = bytearray()
    while len(data) < count:
        part = connection.recv(min(count - len(data), 65536))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    with connection:
        try:
            while True:
                (length,) = struct.unpack("!I", exactly(connection, 4))
                if length > LIMIT:
                    break
                connection.sendall(struct.pack("!I", length) + exactly(connection, length).upper())
        except (EOFError, ConnectionError):
            pass
