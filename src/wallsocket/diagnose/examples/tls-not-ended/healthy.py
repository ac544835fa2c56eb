"""The server ends TLS, and then the connection: the client knows that it has everything."""

import socket
import ssl
import sys
import threading
from pathlib import Path

CERTIFICATE = Path(__file__).with_name("certificate.pem")
listener = socket.create_server(("127.0.0.1", 0))


def serve():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    plain, _ = listener.accept()
    connection = context.wrap_socket(plain, server_side=True)
    connection.recv(100)
    connection.sendall(b"line of the report\n" * 100)
    connection.unwrap().close()


service = threading.Thread(target=serve)
service.start()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
plain = socket.create_connection(listener.getsockname())
with context.wrap_socket(plain, suppress_ragged_eofs=False) as connection:
    connection.sendall(b"report\n")
    report = b""
    try:
        while piece := connection.recv(4096):
            report += piece
        connection.unwrap()
    except ssl.SSLError as error:
        sys.exit(f"{len(report)} bytes, and then: {error}")
service.join()
