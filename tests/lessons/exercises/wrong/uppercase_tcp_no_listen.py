import socket
import sys

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()  # HERE
    connection.sendall(connection.recv(1024).upper())
    connection.close()
