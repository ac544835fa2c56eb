"""A server answers one message at each event; three have come in one record."""

import selectors
import socket
import ssl
import struct
import threading
from pathlib import Path

CERTIFICATE = Path(__file__).with_name("certificate.pem")
listener = socket.create_server(("127.0.0.1", 0))


def ask():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = socket.create_connection(listener.getsockname())
    with context.wrap_socket(plain) as connection:
        messages = (b"put a 1", b"put b 2", b"get a")
        connection.sendall(b"".join(struct.pack("!H", len(one)) + one for one in messages))
        connection.settimeout(1)
        answers = b""
        try:
            while answers.count(b";") < len(messages):
                answers += connection.recv(100)
        except TimeoutError:
            print("answered so far:", answers)


client = threading.Thread(target=ask)
client.start()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE)
plain, _ = listener.accept()
connection = context.wrap_socket(plain, server_side=True)
selector = selectors.DefaultSelector()
selector.register(connection, selectors.EVENT_READ)
try:
    while selector.select(5) and (head := connection.recv(2)):
        (length,) = struct.unpack("!H", head)
        message = connection.recv(length)
        connection.sendall(b"did " + message.split()[1] + b";")
except OSError as error:
    print("the client has left:", error)
client.join()
connection.close()
listener.close()
