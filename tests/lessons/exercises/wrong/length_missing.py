import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    try:
        while header := connection.recv(4, socket.MSG_WAITALL):
            length = int.from_bytes(header, "big")
            if length > 100_000:
                break
            text = connection.recv(length, socket.MSG_WAITALL)
            connection.sendall(text.upper())  # HERE
    except ConnectionError:
        pass
    connection.close()
