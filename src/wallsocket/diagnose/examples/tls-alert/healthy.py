"""Both ends have a cipher in common."""

import socket
import ssl
import threading

CIPHER = "AECDH-AES256-SHA:@SECLEVEL=0"  # one that needs no certificate

listener = socket.create_server(("127.0.0.1", 0))


def context(protocol: int) -> ssl.SSLContext:
    made = ssl.SSLContext(protocol)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(CIPHER)
    return made


def serve() -> None:
    server, _ = listener.accept()
    with context(ssl.PROTOCOL_TLS_SERVER).wrap_socket(server, server_side=True) as stream:
        print("server:", stream.recv(100))
        stream.sendall(b"goodbye\n")


thread = threading.Thread(target=serve)
thread.start()
with context(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(socket.create_connection(listener.getsockname())) as stream:
    stream.sendall(b"hello\n")
    print("client:", stream.recv(100))
thread.join()
