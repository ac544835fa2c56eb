import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    try:
        for line in connection.makefile("rb"):
            connection.sendall(line.strip().upper())  # HERE
    except ConnectionError:
        pass
    connection.close()
