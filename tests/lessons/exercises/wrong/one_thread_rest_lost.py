import select
import socket
import sys

p = select.poll()
listener = socket.create_server(("", int(sys.argv[1])), backlog=128)
p.register(listener, select.POLLIN)
cs = {}
while True:
    for fd, ev in p.poll():
        if fd == listener.fileno():
            c, _ = listener.accept()
            c.setblocking(False)
            cs[c.fileno()] = [c, b""]
            p.register(c, select.POLLIN)
            continue
        st = cs[fd]
        try:
            d = st[0].recv(65536)
            if not d:
                raise OSError
            st[1] += d
            h, n, st[1] = st[1].rpartition(b"\n")
            if n:
                st[0].send((h + n).upper())  # HERE
        except BlockingIOError:
            pass
        except OSError:
            p.unregister(fd)
            cs.pop(fd)[0].close()
