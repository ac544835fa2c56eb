import secrets
import socket
import sys

host, port, text = sys.argv[1:]
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(0.5)
identifier = secrets.token_hex(4).encode()
for attempt in range(3):
    asker.sendto(identifier + b" " + text.encode(), (host, int(port)))
    try:
        while True:
            answer, sender = asker.recvfrom(65535)  # HERE
            if answer.startswith(identifier):
                print(answer[9:].decode())
                sys.exit(0)
    except TimeoutError:
        pass
print("no answer")
sys.exit(1)
