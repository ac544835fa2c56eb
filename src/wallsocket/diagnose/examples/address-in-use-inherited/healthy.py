"""The helper does not get the descriptor."""

import socket
import subprocess

listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
with subprocess.Popen(["sleep", "1"], close_fds=False):
    listener.close()
    again = socket.socket()
    again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    again.bind(address)
    print("bound again")
    again.close()
