"""A reporter that sends its line before it has connected."""

import socket


def report(line: bytes) -> None:
    connection = socket.socket()
    try:
        connection.sendall(line)
        connection.connect(("127.0.0.1", 7000))
    finally:
        connection.close()


with socket.create_server(("127.0.0.1", 7000)):
    try:
        report(b"backup finished\n")
    except OSError as error:
        print("report failed:", error)
