import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    try:
        while True:
            header = connection.recv(4, socket.MSG_WAITALL)
            if len(header) < 4:
                break
            length = int.from_bytes(header, "big")
            if length > 100_000:
                break
            text = connection.recv(length)  # HERE
            connection.sendall(len(text).to_bytes(4, "big") + text.upper())
    except ConnectionError:
        pass
    connection.close()
