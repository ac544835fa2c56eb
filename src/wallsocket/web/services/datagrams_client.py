"""Asks by datagrams; what is not answered in time is asked again."""

import json
import pathlib
import socket
import sys
import time


def setting(name):
    return json.loads(pathlib.Path(sys.argv[1]).read_text())[name]


number = 0
while True:
    number += 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.connect((sys.argv[2], 4567))
        for _ in range(setting("tries")):
            endpoint.settimeout(setting("timeout_ms") / 1000)
            try:
                endpoint.send(b"question %d" % number)
                endpoint.recv(2048)
                break
            except OSError:
                continue
    time.sleep(setting("pause_ms") / 1000)
