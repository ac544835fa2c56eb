import selectors
import socket
import sys

sel = selectors.DefaultSelector()
listener = socket.create_server(("", int(sys.argv[1])), backlog=128)
sel.register(listener, selectors.EVENT_READ, None)


def close(c):
    sel.unregister(c)
    c.close()  # HERE


while True:
    for key, mask in sel.select():
        if key.data is None:
            c, _ = listener.accept()
            c.setblocking(False)
            sel.register(c, selectors.EVENT_READ, [b"", b""])
            continue
        c, st = key.fileobj, key.data
        try:
            if mask & selectors.EVENT_WRITE:
                st[1] = st[1][c.send(st[1]) :]
            if mask & selectors.EVENT_READ:
                d = c.recv(65536)
                if not d:
                    close(c)
                    continue
                st[0] += d
                h, n, st[0] = st[0].rpartition(b"\n")
                st[1] += (h + n).upper()
            sel.modify(c, selectors.EVENT_READ | (selectors.EVENT_WRITE if st[1] else 0), st)
        except BlockingIOError:
            pass
        except OSError:
            close(c)
