"""A download server that wants no TIME_WAIT, and resets its clients before they have read the end."""

import socket
import struct
import threading
import time

BODY = b"x" * 200_000


def serve(listener: socket.socket) -> None:
    accepted, _ = listener.accept()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    accepted.recv(1024)
    accepted.sendall(BODY)
    accepted.close()


with socket.create_server(("127.0.0.1", 7020)) as listener:
    server = threading.Thread(target=serve, args=(listener,))
    server.start()
    with socket.create_connection(("127.0.0.1", 7020)) as client:
        client.sendall(b"GET /file\n")
        got = 0
        try:
            while chunk := client.recv(4096):
                got += len(chunk)
                time.sleep(0.005)
        except ConnectionResetError as error:
            print(f"{got} of {len(BODY)} bytes: {error}")
    server.join()
