import socket
import sys

connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"a line without its end")
print(connection.recv(1024))
