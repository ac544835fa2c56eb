"""A server with few descriptors meets more clients than it can hold, and tries accept again at once."""

import resource
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
time.sleep(0.3)  # four clients are there
lowest = listener.dup()
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno() + 2, hard))  # room for one more
lowest.close()
held = []
failed = 0
until = time.monotonic() + 1
while time.monotonic() < until:
    for _ in selector.select(0.2):
        try:
            held.append(listener.accept()[0])
        except OSError:
            failed += 1
print(len(held), "clients are served; accept failed", failed, "times")
done.set()
others.join()
for one in (*held, listener):
    one.close()
