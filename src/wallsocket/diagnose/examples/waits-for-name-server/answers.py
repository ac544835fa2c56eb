"""A name server that answers each question with "no such name"."""

import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("0.0.0.0", 53))
    print("ready", flush=True)
    while True:
        question, client = server.recvfrom(512)
        server.sendto(question[:2] + b"\x81\x83" + question[4:], client)
