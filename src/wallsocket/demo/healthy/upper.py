import socket
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    message = b""
    while data := connection.recv(1024):
        message += data
    connection.sendall(message.upper())
    connection.close()
