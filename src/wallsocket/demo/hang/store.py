import socket
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
connection, _ = listener.accept()
message = b""
while not message.endswith(b"\n"):
    message += connection.recv(1024)
connection.sendall(b"stored\n")
