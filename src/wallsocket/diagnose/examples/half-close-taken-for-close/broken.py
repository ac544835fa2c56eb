"""A service that closes as soon as a client has said its last byte, whether it was answered or not."""

import socket
import threading


def serve(accepted: socket.socket) -> None:
    text = b""
    while part := accepted.recv(1024):
        text += part
        if text.endswith(b"now\n"):
            accepted.sendall(text.upper())
    # The client has gone, it seems.
    accepted.close()


with socket.create_server(("127.0.0.1", 7042)) as listener:
    for request in (b"answer now\n", b"answer when you can\n"):
        with socket.create_connection(("127.0.0.1", 7042)) as client:
            accepted, _ = listener.accept()
            worker = threading.Thread(target=serve, args=(accepted,))
            worker.start()
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            print(request, "->", client.recv(1024))
            while client.recv(1024):
                pass
            worker.join()
