import socket
import sys

clients = []
listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    clients.append(connection)
    text = b""
    while part := connection.recv(1024):
        text += part
    connection.sendall(text.upper())  # HERE
