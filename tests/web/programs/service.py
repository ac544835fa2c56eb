"""A service that reads once for a whole message, its client, and names and bytes that a page must not believe."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
import threading

#: Markup, control characters, one that turns the direction of text, invalid UTF-8.
HOSTILE = (
    b"<img src=x onerror=document.title='owned'>\x1b[31m\x00\xff\xfe" + "\u202egnp.exe".encode() + b"</script>\r\n"
)


def serve(listener: socket.socket) -> None:
    for _ in range(2):
        connection, _ = listener.accept()
        with connection:
            data = connection.recv(1024)
            connection.sendall(data.upper())


def ask(address: tuple[str, int], letter: bytes) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(letter)
        # A service that has closed already resets: then there is nothing to shut down, nor to receive.
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = threading.Thread(target=serve, args=(listener,))
        service.start()
        address = listener.getsockname()
        ask(address, HOSTILE)
        ask(address, b"A" * 65536 + b"\n")
        service.join()
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = gone.getsockname()
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(nobody).close()
    one, other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with one, other:
        one.bind(("127.0.0.1", 0))
        other.sendto(b"question", one.getsockname())
        data, sender = one.recvfrom(100)
        one.sendto(data.upper(), sender)
        other.recv(100)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(folder, "<b onclick=alert(1)>"))
        listener.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(listener.getsockname())
            with listener.accept()[0] as accepted:
                client.sendall(b"over there")
                accepted.recv(100)


if __name__ == "__main__":
    sys.exit(main())
