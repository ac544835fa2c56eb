"""A snapshot of the whole state as one datagram: it grew beyond what a datagram carries."""

import json
import socket

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 0))
receiver.settimeout(0.3)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
state = json.dumps([{"name": f"sensor {number}", "value": number} for number in range(2500)]).encode()
try:
    sender.sendto(state, receiver.getsockname())
except OSError as error:
    print("no snapshot:", error)
