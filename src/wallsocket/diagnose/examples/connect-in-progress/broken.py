"""A monitor that does not want to block, and takes EINPROGRESS for a failure."""

import socket


def is_up(address: tuple[str, int]) -> bool:
    connection = socket.socket()
    connection.setblocking(False)
    try:
        connection.connect(address)
    except OSError:
        return False
    finally:
        connection.close()
    return True


with socket.create_server(("127.0.0.1", 7006)):
    print("up" if is_up(("127.0.0.1", 7006)) else "down")
