"""The same clients, and descriptors enough for all of them."""

import selectors
import socket
import threading
import time


def clients(address: tuple[str, int], done: threading.Event) -> None:
    held = [socket.create_connection(address) for _ in range(4)]
    done.wait(20)
    for one in held:
        one.close()


listener = socket.create_server(("127.0.0.1", 0), backlog=16)
listener.setblocking(False)
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)
done = threading.Event()
others = threading.Thread(target=clients, args=(listener.getsockname(), done))
others.start()
held = []
until = time.monotonic() + 1
while time.monotonic() < until:
    for _ in selector.select(0.2):
        held.append(listener.accept()[0])
print(len(held), "clients are served")
for one in held:
    one.close()
done.set()
others.join()
listener.close()
