import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    try:
        while message := connection.recv(16):  # HERE
            if len(message) < 16:
                break
            connection.sendall(message.upper())
    except ConnectionError:
        pass
    connection.close()
