import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
connection, address = listener.accept()  # HERE
while True:
    text = b""
    while part := connection.recv(1024):
        text += part
    if not text:
        break
    connection.sendall(text.upper())
    connection.shutdown(socket.SHUT_WR)
