"""A name server that knows one answer, at one of its two addresses; a firewall drops what comes to the other."""

import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("10.91.0.20", 53))
    print("ready", flush=True)
    while True:
        question, client = server.recvfrom(512)
        end = question.index(0, 12) + 5
        answer = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x01"
        server.sendto(question[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + question[12:end] + answer, client)
