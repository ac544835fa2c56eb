"""The same server without the option: it half-closes, and waits until the client has everything."""

import socket
import threading

BODY = b"x" * 200_000


def serve(listener: socket.socket) -> None:
    accepted, _ = listener.accept()
    accepted.recv(1024)
    accepted.sendall(BODY)
    accepted.shutdown(socket.SHUT_WR)
    while accepted.recv(1024):
        pass
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
        except ConnectionResetError as error:
            print(f"{got} of {len(BODY)} bytes: {error}")
    server.join()
