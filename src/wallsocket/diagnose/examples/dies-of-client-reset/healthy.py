"""The same service, which catches the errors of each connection."""

import socket
import struct
import subprocess
import sys

PORT = 7028


def main() -> None:
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        print("ready", flush=True)
        for _ in range(2):
            accepted, _ = listener.accept()
            with accepted:
                sys.stdin.readline()  # work that takes its time
                try:
                    accepted.recv(1024)
                    accepted.sendall(b"hello\n")
                except ConnectionError as error:
                    print("client left:", error, flush=True)
    sys.exit(0)


if sys.argv[1:]:
    main()
with subprocess.Popen([sys.executable, __file__, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:
    assert service.stdin is not None
    assert service.stdout is not None
    service.stdout.readline()
    check = socket.create_connection(("127.0.0.1", PORT))
    check.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    check.close()
    service.stdin.write(b"\n")
    service.stdin.flush()
    with socket.create_connection(("127.0.0.1", PORT)) as client:
        client.sendall(b"hello?\n")
        service.stdin.write(b"\n")
        service.stdin.flush()
        while client.recv(1024):
            pass
