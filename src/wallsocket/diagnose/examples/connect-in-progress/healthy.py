"""The same monitor, which waits for the handshake and asks how it ended."""

import select
import socket


def is_up(address: tuple[str, int]) -> bool:
    with socket.socket() as connection:
        connection.setblocking(False)
        connection.connect_ex(address)
        _, writable, _ = select.select([], [connection], [], 10)
        return bool(writable) and connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


with socket.create_server(("127.0.0.1", 7006)) as listener:
    print("up" if is_up(("127.0.0.1", 7006)) else "down")
    accepted, _ = listener.accept()
    accepted.close()
