import select
import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])), backlog=128)
listener.setblocking(False)
received, answers = {}, {}
while True:
    readable, writable, _ = select.select([listener, *received], list(received), [])  # HERE
    for ready in readable:
        if ready is listener:
            connection, address = listener.accept()
            connection.setblocking(False)
            received[connection] = answers[connection] = b""
            continue
        try:
            part = ready.recv(65536)
        except ConnectionError:
            part = b""
        if not part:
            del received[ready], answers[ready]
            ready.close()
            continue
        *lines, received[ready] = (received[ready] + part).split(b"\n")
        answers[ready] += b"".join(line.upper() + b"\n" for line in lines)
    for ready in writable:
        if answers.get(ready):
            answers[ready] = answers[ready][ready.send(answers[ready]) :]
