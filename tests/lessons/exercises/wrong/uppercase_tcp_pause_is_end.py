import socket
import sys

s = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    c, a = s.accept()
    c.settimeout(0.9)
    data = b""
    try:
        while True:
            x = c.recv(2048)  # HERE
            if x == b"":
                break
            data += x
    except TimeoutError:
        pass
    except OSError:
        c.close()
        continue
    try:
        c.sendall(data.upper())
    except OSError:
        pass
    c.close()
