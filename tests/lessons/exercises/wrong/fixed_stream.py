import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    try:
        while part := connection.recv(1024):
            connection.sendall(part.upper())  # HERE
    except ConnectionError:
        pass
    connection.close()
