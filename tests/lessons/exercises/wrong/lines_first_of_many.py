import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    received = b""
    try:
        while part := connection.recv(4096):  # HERE
            received += part
            if b"\n" in received:
                line, received = received.split(b"\n", 1)
                connection.sendall(line.upper() + b"\n")
    except ConnectionError:
        pass
    connection.close()
