"""A large file is sent to somebody who reads."""

import os
import socket
import time

listener = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    with socket.create_connection(listener.getsockname()) as reader:
        listener.close()
        left = 50_000_000
        while left:
            left -= len(reader.recv(left))
        print("ready", flush=True)
        time.sleep(20)
    os._exit(0)
connection, _ = listener.accept()
listener.close()
connection.sendall(bytes(50_000_000))
time.sleep(20)
