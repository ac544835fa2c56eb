import secrets
import socket
import sys

host, port, text = sys.argv[1:]
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.connect((host, int(port)))
identifier = secrets.token_hex(4)
asker.send(f"{identifier} {text}".encode())
while True:
    answer = asker.recv(65535).decode()  # HERE
    if answer.startswith(identifier):
        print(answer[9:])
        break
