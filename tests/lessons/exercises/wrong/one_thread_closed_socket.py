import select
import socket
import sys

listener = socket.create_server(("", int(sys.argv[1])), backlog=128)
listener.setblocking(False)
socks, inp, out = [listener], {}, {}
while True:
    r, w, _ = select.select(socks, [s for s in out if out[s]], [])  # HERE
    for s in w:
        out[s] = out[s][s.send(out[s]) :]
    for s in r:
        if s is listener:
            c, _ = listener.accept()
            c.setblocking(False)
            socks.append(c)
            inp[c] = out[c] = b""
            continue
        try:
            d = s.recv(65536)
        except OSError:
            d = b""
        if not d:
            s.close()
            continue
        inp[s] += d
        h, n, inp[s] = inp[s].rpartition(b"\n")
        out[s] += (h + n).upper()
