import secrets
import socket
import sys

host, port, text = sys.argv[1:]
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.connect((host, int(port)))
asker.settimeout(0.5)
identifier = secrets.token_hex(4)
asker.send(f"{identifier} {text}".encode())  # HERE
try:
    while True:
        answer = asker.recv(65535).decode()
        if answer.startswith(identifier):
            print(answer[9:])
            sys.exit(0)
except (TimeoutError, ConnectionRefusedError):
    print("no answer")
    sys.exit(1)
