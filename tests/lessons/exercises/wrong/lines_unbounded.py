import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    received = b""
    try:
        while part := connection.recv(65536):  # HERE
            received += part
            *lines, received = received.split(b"\n")
            for line in lines:
                connection.sendall(line.upper() + b"\n")
    except ConnectionError:
        pass
    connection.close()
