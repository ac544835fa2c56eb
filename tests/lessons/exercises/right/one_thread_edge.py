"""Edge-triggered: read and write until EAGAIN."""

import select
import socket
import sys

ep = select.epoll()
lst = socket.create_server(("", int(sys.argv[1])), backlog=128)
lst.setblocking(False)
ep.register(lst, select.EPOLLIN | select.EPOLLET)
conns = {}


class C:
    def __init__(self, s):
        self.s, self.i, self.o, self.eof = s, bytearray(), bytearray(), False


def pump(c):
    """read until EAGAIN, write until EAGAIN; says whether to keep"""
    try:
        while not c.eof:
            try:
                d = c.s.recv(65536)
            except BlockingIOError:
                break
            if not d:
                c.eof = True
                break
            c.i += d
            cut = c.i.rfind(b"\n") + 1
            c.o += c.i[:cut].upper()
            del c.i[:cut]
        while c.o:
            try:
                n = c.s.send(c.o)
            except BlockingIOError:
                return True
            del c.o[:n]
        return not c.eof
    except OSError:
        return False


while True:
    for fd, _ in ep.poll():
        if fd == lst.fileno():
            while True:
                try:
                    s, _ = lst.accept()
                except BlockingIOError:
                    break
                s.setblocking(False)
                conns[s.fileno()] = C(s)
                ep.register(s, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET | select.EPOLLRDHUP)
        else:
            c = conns[fd]
            if not pump(c):
                ep.unregister(fd)
                c.s.close()
                del conns[fd]
