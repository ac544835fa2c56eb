"""A TLS server without a certificate."""

import socket
import ssl
import threading

listener = socket.create_server(("127.0.0.1", 0))


def serve() -> None:
    server, _ = listener.accept()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # no certificate was loaded
    try:
        context.wrap_socket(server, server_side=True)
    except ssl.SSLError as error:
        print("server:", error.reason)


thread = threading.Thread(target=serve)
thread.start()
try:
    ssl._create_unverified_context().wrap_socket(socket.create_connection(listener.getsockname()))
except ssl.SSLError as error:
    print("client:", error.reason)
thread.join()
