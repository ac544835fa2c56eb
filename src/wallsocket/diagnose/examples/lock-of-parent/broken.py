"""A child is forked while another thread holds a lock that the child needs."""

import os
import threading
import time

lock = threading.Lock()


def write_statistics() -> None:
    with lock:
        time.sleep(20)


def work() -> None:
    with lock:
        os.write(1, b"the worker has begun\n")


threading.Thread(target=write_statistics, daemon=True).start()
while not lock.locked():
    time.sleep(0.001)
reading, writing = os.pipe()
if os.fork() == 0:
    os.close(reading)
    work()
    os.write(writing, b"done\n")
    os._exit(0)
os.close(writing)
print("ready", flush=True)
os.read(reading, 100)
