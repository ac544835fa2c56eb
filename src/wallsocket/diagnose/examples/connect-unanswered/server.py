"""A server whose host loses its address once somebody says "leave": what comes for it then is dropped without a word."""

import socket
import subprocess

with socket.create_server(("", 7000)) as listener:
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        if connection.recv(100) == b"leave":
            connection.sendall(b"bye")
            connection.recv(100)
            subprocess.run(["ip", "address", "flush", "dev", "eth0"], check=True)
        else:
            connection.sendall(b"hello")
