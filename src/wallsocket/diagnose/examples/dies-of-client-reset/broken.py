"""A service that ends when a health check resets its connection."""

import socket
import struct
import subprocess
import sys

PORT = 7028


def main() -> None:
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        print("ready", flush=True)
        while True:
            accepted, _ = listener.accept()
            with accepted:
                sys.stdin.readline()  # work that takes its time
                accepted.recv(1024)
                accepted.sendall(b"hello\n")


if sys.argv[1:]:
    main()
with subprocess.Popen([sys.executable, __file__, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:
    assert service.stdin is not None
    assert service.stdout is not None
    service.stdout.readline()
    with socket.create_connection(("127.0.0.1", PORT)) as client:
        client.sendall(b"hello?\n")
        service.stdin.write(b"\n")
        service.stdin.flush()
        while client.recv(1024):
            pass
    check = socket.create_connection(("127.0.0.1", PORT))
    check.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    check.close()
    service.stdin.write(b"\n")
    service.stdin.flush()
    print("the service ended with", service.wait())
