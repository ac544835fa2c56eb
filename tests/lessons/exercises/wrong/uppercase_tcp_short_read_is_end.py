import socket
import sys

BUFFER = 1024

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    text = b""
    while True:
        part = connection.recv(BUFFER)  # HERE
        text += part
        if len(part) < BUFFER:
            break
    connection.sendall(text.upper())
    connection.close()
