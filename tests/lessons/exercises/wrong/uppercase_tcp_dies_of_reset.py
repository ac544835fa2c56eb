import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    text = b""
    while part := connection.recv(4096):  # HERE
        text += part
    connection.sendall(text.upper())
    connection.close()
