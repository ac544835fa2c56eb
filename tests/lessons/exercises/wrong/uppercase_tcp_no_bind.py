import socket
import sys

listener = socket.socket()
listener.listen()  # HERE
while True:
    connection, address = listener.accept()
    connection.sendall(connection.recv(1024).upper())
    connection.close()
