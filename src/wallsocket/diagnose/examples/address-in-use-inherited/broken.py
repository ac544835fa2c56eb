"""A server that starts a helper with all descriptors, stops listening, and wants its port again."""

import socket
import subprocess

listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
listener.set_inheritable(True)
with subprocess.Popen(["sleep", "2"], close_fds=False):
    listener.close()
    again = socket.socket()
    again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        again.bind(address)
    except OSError as error:
        print(error)
    again.close()
