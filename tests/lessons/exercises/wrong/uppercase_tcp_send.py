import socket
import sys

s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", int(sys.argv[1])))
s.listen()
while True:
    conn, addr = s.accept()
    conn.settimeout(10)
    try:
        text = b""
        while True:
            part = conn.recv(4096)
            if not part:
                break
            text += part
        conn.send(text.upper())  # HERE
    except OSError:
        pass
    conn.close()
