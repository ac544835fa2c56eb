import socket
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    data = connection.recv(1024)
    connection.sendall(data.upper())
    connection.close()
