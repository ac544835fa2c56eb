import socket
import struct
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    try:
        while header := connection.recv(4):  # HERE
            (length,) = struct.unpack(">I", header)
            text = b""
            while len(text) < length:
                text += connection.recv(length - len(text))
            connection.sendall(header + text.upper())
    except ConnectionError:
        pass
    connection.close()
