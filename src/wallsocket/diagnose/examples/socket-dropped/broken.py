"""A helper makes the listener and returns its port alone: at its end Python closes the socket."""

import socket


def listen():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener.getsockname()[1]


port = listen()
try:
    socket.create_connection(("127.0.0.1", port)).close()
except ConnectionRefusedError as error:
    print("the server that was just started:", error)
