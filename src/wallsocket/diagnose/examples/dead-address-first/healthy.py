"""The second address is tried 250 ms after the first, while that one is still on its way (RFC 8305)."""

import select
import socket

addresses = ["10.91.0.20", socket.gethostbyname("server")]
attempts: list[socket.socket] = []
for host in addresses:
    attempt = socket.socket()
    attempt.setblocking(False)
    attempt.connect_ex((host, 6100))
    attempts.append(attempt)
    connected = select.select([], attempts, [], 0.25 if host != addresses[-1] else 20)[1]
    if connected:
        break
winner = connected[0]
for attempt in attempts:
    if attempt is not winner:
        attempt.close()
winner.setblocking(True)
print(winner.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), winner.getpeername())
winner.sendall(b"k")
print(winner.recv(100))
winner.close()
