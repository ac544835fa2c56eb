import socket
import sys

service = socket.socket()
service.bind(("", int(sys.argv[1])))  # HERE
service.listen()
while True:
    connection, client = service.accept()
    connection.sendall(connection.recv(65535).upper())
