import selectors
import socket
import sys

selector = selectors.DefaultSelector()
clients = {}


class Client:
    def __init__(self, connection):
        self.connection = connection
        self.received = b""
        self.waiting = b""

    def send(self, data):
        self.waiting += data
        if len(self.waiting) > 1_000_000:
            leave(self)
            return
        try:
            self.waiting = self.waiting[self.connection.send(self.waiting) :]
        except BlockingIOError:
            pass
        except OSError:
            leave(self)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.waiting else 0)
        selector.modify(self.connection, events, self)


def leave(client):
    if clients.pop(client.connection, None):
        selector.unregister(client.connection)
        client.connection.close()


def read(client):
    try:
        part = client.connection.recv(65536)
    except OSError:
        part = b""
    if not part:
        leave(client)
        return
    *lines, client.received = (client.received + part).split(b"\n")
    for line in lines:
        for other in list(clients.values()):
            if other is not client:
                other.send(line + b"\n")


listener = socket.create_server(("", int(sys.argv[1])))
listener.setblocking(False)
selector.register(listener, selectors.EVENT_READ)
while True:
    for key, events in selector.select():
        if key.fileobj is listener:
            connection, _ = listener.accept()
            connection.setblocking(False)
            clients[connection] = Client(connection)
            selector.register(connection, selectors.EVENT_READ, clients[connection])
            continue
        if events & selectors.EVENT_WRITE and key.fileobj in clients:
            key.data.send(b"")
        if events & selectors.EVENT_READ and key.fileobj in clients:
            read(key.data)
