import socket
import sys

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("", int(sys.argv[1])))
listener.listen()
while True:
    connection, address = listener.accept()
    text = connection.recv(1024)  # HERE
    connection.sendall(text.upper())
    connection.close()
