import socket
import sys

listener = socket.socket()
listener.bind(("", int(sys.argv[1])))  # HERE
listener.listen()
while True:
    connection, address = listener.accept()
    try:
        text = b""
        while True:
            part = connection.recv(1024)
            if not part:
                break
            text += part
        connection.sendall(text.upper())
    except ConnectionError:
        pass
    connection.close()
