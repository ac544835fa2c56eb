"""The same clock, which tells who asks for a zone that there is none."""

import datetime
import socket
import subprocess
import sys
import zoneinfo

ADDRESS = ("127.0.0.1", 7123)


def serve() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(ADDRESS)
        print("ready", flush=True)
        while True:
            question, client = service.recvfrom(200)
            try:
                zone = zoneinfo.ZoneInfo(question.decode())
            except (ValueError, zoneinfo.ZoneInfoNotFoundError):
                service.sendto(b"no such zone", client)
            else:
                service.sendto(datetime.datetime.now(zone).isoformat().encode(), client)


if sys.argv[1:]:
    serve()
with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as clock:
    assert clock.stdout is not None
    clock.stdout.readline()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(30)
        client.sendto(b"Mars/Olympus Mons", ADDRESS)
        print(client.recv(200))
    clock.terminate()
