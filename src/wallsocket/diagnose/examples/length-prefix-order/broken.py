"""The sender packs the length in its own byte order; the reader expects network byte order, and waits for a huge message."""

import socket
import struct
import threading

listener = socket.create_server(("127.0.0.1", 0))


def serve():
    connection, _ = listener.accept()
    (length,) = struct.unpack("!I", connection.recv(4, socket.MSG_WAITALL))
    message = b""
    while len(message) < length:
        part = connection.recv(length - len(message))
        if not part:
            break
        message += part
    connection.sendall(b"%d bytes" % len(message))
    connection.close()


service = threading.Thread(target=serve)
service.start()
message = b'{"temperature": 21.5, "room": "kitchen"}'
with socket.create_connection(listener.getsockname(), timeout=1.5) as connection:
    connection.sendall(struct.pack("=I", len(message)) + message)
    try:
        print(connection.recv(100))
    except TimeoutError:
        print("no answer")
service.join()
