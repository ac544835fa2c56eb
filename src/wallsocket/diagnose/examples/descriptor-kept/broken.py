"""A server that starts a helper for each request; the helper inherits the connection and outlives the answer."""

import os
import socket
import subprocess
import threading


def serve(listener: socket.socket) -> None:
    accepted, _ = listener.accept()
    os.set_inheritable(accepted.fileno(), True)
    accepted.recv(1024)
    helper = subprocess.Popen(["sleep", "2"], close_fds=False)
    accepted.sendall(b"HTTP/1.0 200 OK\r\n\r\ndone\n")
    accepted.close()
    helper.wait()


with socket.create_server(("127.0.0.1", 7022)) as listener:
    server = threading.Thread(target=serve, args=(listener,))
    server.start()
    with socket.create_connection(("127.0.0.1", 7022)) as client:
        client.sendall(b"POST /job HTTP/1.0\r\n\r\n")
        while client.recv(4096):
            pass
    server.join()
