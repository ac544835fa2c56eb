import socket
import sys

with socket.create_server(("", int(sys.argv[1]))) as listener:
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                text = b""
                while part := connection.recv(4096):
                    text += part
                connection.sendall(text.upper())
            except ConnectionError:
                pass
