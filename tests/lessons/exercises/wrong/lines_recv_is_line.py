import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    try:
        while line := connection.recv(4097):  # HERE
            connection.sendall(line.rstrip(b"\n").upper() + b"\n")
    except ConnectionError:
        pass
    connection.close()
