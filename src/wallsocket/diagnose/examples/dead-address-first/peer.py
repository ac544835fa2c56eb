"""A store that answers one question after the other."""

import socket

with socket.create_server(("", 6100)) as listener:
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            while question := connection.recv(100):
                connection.sendall(b"value of " + question)
