import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
one, _ = listener.accept()
two, _ = listener.accept()
while True:
    two.sendall(one.recv(4096))  # HERE
    one.sendall(two.recv(4096))
