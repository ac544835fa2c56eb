import socket
import sys

text = b""
server = socket.create_server(("", int(sys.argv[1])))
while True:
    client, address = server.accept()
    try:
        while True:
            part = client.recv(4096)
            if len(part) == 0:
                break
            text = text + part
        client.sendall(text.upper())  # HERE
    except OSError as error:
        print("client", address, "gone", error)
    client.close()
