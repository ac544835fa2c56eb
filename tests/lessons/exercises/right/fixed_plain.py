#!/usr/bin/env python3
import socket
import sys

SIZE = 16


def receive(connection):
    """One message, or what there is of it at the end of the stream."""
    message = b""
    while len(message) < SIZE:
        part = connection.recv(SIZE - len(message))
        if not part:
            break
        message += part
    return message


def main():
    listener = socket.create_server(("", int(sys.argv[1])), backlog=5)
    while True:
        connection, _ = listener.accept()
        try:
            while len(message := receive(connection)) == SIZE:
                connection.sendall(message.upper())
        except ConnectionResetError:
            pass
        connection.close()


main()
