"""Answers each datagram in capitals."""

import json
import pathlib
import socket
import sys
import time


def setting(name):
    return json.loads(pathlib.Path(sys.argv[1]).read_text())[name]


with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
    endpoint.bind(("0.0.0.0", 4567))
    print("listening", flush=True)
    while True:
        question, client = endpoint.recvfrom(2048)
        time.sleep(setting("work_ms") / 1000)
        endpoint.sendto(question.upper(), client)
