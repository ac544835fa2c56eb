"""The same service, which closes idle connections when it is told to end."""

import os
import signal
import socket
import threading

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())


def serve(accepted: socket.socket) -> None:
    with accepted:
        while accepted.recv(1024):
            accepted.sendall(b"ok\n")


listener = socket.create_server(("127.0.0.1", 7043))
client = socket.create_connection(("127.0.0.1", 7043))
accepted, _ = listener.accept()
worker = threading.Thread(target=serve, args=(accepted,))
worker.start()
client.sendall(b"hello\n")
client.recv(1024)
os.kill(os.getpid(), signal.SIGTERM)
stop.wait()
listener.close()
accepted.shutdown(socket.SHUT_RD)
worker.join()
while client.recv(1024):
    pass
client.close()
