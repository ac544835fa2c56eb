"""A server that is restarted, and asks for the reuse of its address one call too late."""

import socket


def serve_one_client() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 7007))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.listen()
        with socket.create_connection(("127.0.0.1", 7007)) as client:
            accepted, _ = listener.accept()
            # The server says goodbye first, so its side stays in TIME_WAIT.
            accepted.close()
            client.recv(100)


serve_one_client()
try:
    serve_one_client()
except OSError as error:
    print("restart failed:", error)
