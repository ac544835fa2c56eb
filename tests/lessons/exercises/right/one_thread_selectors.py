import selectors
import socket
import sys

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
LIMIT = 1 << 16


class Client:
    def __init__(self, connection):
        self.connection = connection
        self.line = b""
        self.answers = b""
        self.finished = False

    def step(self, events):
        if events & READ:
            part = self.connection.recv(65536)
            self.finished = not part
            *lines, self.line = (self.line + part).split(b"\n")
            self.answers += b"".join(line.upper() + b"\n" for line in lines)
            if len(self.line) > 4096:
                self.finished = True
        if self.answers:
            try:
                self.answers = self.answers[self.connection.send(self.answers) :]
            except BlockingIOError:
                pass
        # Who does not read is not read from.
        wanted = 0 if self.finished or len(self.answers) > LIMIT else READ
        if self.answers:
            wanted |= WRITE
        return wanted


def main():
    selector = selectors.EpollSelector()
    listener = socket.create_server(("", int(sys.argv[1])), backlog=128)
    listener.setblocking(False)
    selector.register(listener, READ)
    while True:
        for key, events in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setblocking(False)
                selector.register(connection, READ, Client(connection))
                continue
            try:
                wanted = key.data.step(events)
            except ConnectionError:
                wanted = 0
            if wanted:
                selector.modify(key.fileobj, wanted, key.data)
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()


main()
