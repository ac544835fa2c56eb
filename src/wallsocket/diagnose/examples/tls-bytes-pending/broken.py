"""A server waits with select for a TLS connection of which it has used a part of a record."""

import select
import socket
import ssl
import threading
from pathlib import Path

CERTIFICATE = Path(__file__).with_name("certificate.pem")
listener = socket.create_server(("127.0.0.1", 0))


def serve():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    plain, _ = listener.accept()
    connection = context.wrap_socket(plain, server_side=True)
    message = b""
    while len(message) < 3000:
        ready, _, _ = select.select([connection], [], [], 1.5)
        if not ready:
            print("nothing came, has", len(message), "of 3000 bytes")
            break
        message += connection.recv(1024)
    connection.sendall(b"got %d" % len(message))
    connection.close()


service = threading.Thread(target=serve)
service.start()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
with socket.create_connection(listener.getsockname()) as plain, context.wrap_socket(plain) as connection:
    connection.sendall(b"x" * 3000)
    print(connection.recv(100))
service.join()
