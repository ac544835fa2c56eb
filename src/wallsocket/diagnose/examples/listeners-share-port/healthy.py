"""Workers of one service, made by it, share the port on purpose."""

import os
import socket


def open_listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    return listener


keeper = open_listener(0)
port = keeper.getsockname()[1]
workers = []
for number in range(2):
    ready, tell = os.pipe()
    worker = os.fork()
    if worker == 0:
        keeper.close()
        listener = open_listener(port)
        listener.listen()
        listener.settimeout(1.5)
        os.write(tell, b"r")
        try:
            while True:
                connection, _ = listener.accept()
                connection.sendall(b"%d" % number)
                connection.close()
        except TimeoutError:
            os._exit(0)
    os.read(ready, 1)
    workers.append(worker)
for _ in range(12):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.recv(10)
for worker in workers:
    os.waitpid(worker, 0)
keeper.close()
