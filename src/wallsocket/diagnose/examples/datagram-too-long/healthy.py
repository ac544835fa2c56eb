"""The same snapshot in parts with numbers of their own, each below what any path takes."""

import json
import socket
import struct

PART = 1200

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 0))
receiver.settimeout(5)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
state = json.dumps([{"name": f"sensor {number}", "value": number} for number in range(2500)]).encode()
parts = [state[start : start + PART] for start in range(0, len(state), PART)]
got = {}
for number, part in enumerate(parts):
    sender.sendto(struct.pack("!HH", number, len(parts)) + part, receiver.getsockname())
    message = receiver.recv(2048)
    got[struct.unpack_from("!H", message)[0]] = message[4:]
print(len(json.loads(b"".join(got[number] for number in range(len(parts))))), "sensors")
