"""A talk over TCP, UDP and Unix sockets with a secret in everything that must not be told of it."""

from __future__ import annotations

__all__ = ["CANARY", "PLAIN", "TALK"]

#: Sent, given as an argument, and part of a path.
CANARY = "s3cr3t-Canary-0451"
#: Likewise, and it looks like a word of English.
PLAIN = "canarysecret"

TALK = f"""
import contextlib, os, socket, sys, threading
secret = {CANARY!r}.encode()
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    connection, _ = listener.accept()
    connection.recv(10)
    connection.sendall(b"HTTP/1.1 401 " + secret + b"\\r\\n\\r\\n")
    connection.close()
threading.Thread(target=serve).start()
client = socket.create_connection(listener.getsockname())
client.sendall(b"GET /" + secret + b" HTTP/1.1\\r\\nHost: x\\r\\n"
               b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\\r\\n\\r\\n" + secret * 9)
with contextlib.suppress(OSError):
    while client.recv(100): pass
a, b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
a.bind(("127.0.0.1", 0))
name = b"".join(bytes([len(part)]) + part for part in (secret, b"example", b"com"))
b.sendto(b"\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0" + name + b"\\0\\0\\x01\\0\\x01", a.getsockname())
a.recvfrom(200)
# A relative one: the folder of a test may be too long for an address.
os.chdir(sys.argv[1])
path = {CANARY!r} + ".sock"
home = socket.socket(socket.AF_UNIX)
home.bind(path)
home.listen()
guest = socket.socket(socket.AF_UNIX)
guest.connect(path)
host, _ = home.accept()
guest.sendall(secret)
host.recv(100)
for where in (path + "-nobody", "\\0" + {CANARY!r}):
    with contextlib.suppress(OSError):
        socket.socket(socket.AF_UNIX).connect(where)
with contextlib.suppress(OSError):
    socket.create_connection(("127.0.0.1", 1))
with socket.socket() as option:
    for level, number, value in ((1, 25, secret[:15] + b"\\0"), (0, 4, secret), (1, 4711, secret)):
        with contextlib.suppress(OSError):
            option.setsockopt(level, number, value)
plain = {PLAIN!r}
for where in (plain, "\\0" + plain + "-name", "./" + plain + ".sock"):
    named = socket.socket(socket.AF_UNIX)
    named.bind(where)
    named.listen()
    guest = socket.socket(socket.AF_UNIX)
    guest.connect(where)
    guest.sendall(plain.encode())
with contextlib.suppress(OSError):
    socket.socket(socket.AF_UNIX).connect(plain + "-nobody")
# A name server that knows no such name; it was asked in capitals.
question = bytes([len(plain)]) + plain.upper().encode() + b"\\0\\0\\x01\\0\\x01"
resolver, server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
resolver.connect(server.getsockname())
for number in range(3):
    resolver.send(bytes([0, number]) + b"\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0" + question)
    message, asker = server.recvfrom(100)
    server.sendto(message[:2] + b"\\x81\\x83" + message[4:], asker)
    resolver.recv(100)
os.execv(sys.executable, [sys.executable, "-c", "pass", "--token=" + {CANARY!r}])
"""
