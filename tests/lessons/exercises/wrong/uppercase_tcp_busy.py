import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, address = listener.accept()
    connection.setblocking(False)
    text = b""
    try:
        while True:
            try:
                part = connection.recv(4096)  # HERE
            except BlockingIOError:
                continue
            if not part:
                break
            text += part
        connection.setblocking(True)
        connection.sendall(text.upper())
    except ConnectionError:
        pass
    connection.close()
