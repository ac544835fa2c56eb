"""The child is forked before the first thread is started."""

import os
import threading
import time

lock = threading.Lock()


def write_statistics() -> None:
    with lock:
        time.sleep(20)


def work() -> None:
    with lock:
        time.sleep(20)


reading, writing = os.pipe()
if os.fork() == 0:
    os.close(reading)
    work()
    os.write(writing, b"done\n")
    os._exit(0)
os.close(writing)
threading.Thread(target=write_statistics, daemon=True).start()
print("ready", flush=True)
os.read(reading, 100)
