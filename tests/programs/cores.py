"""Says which cores it may use, asked at different moments while its calls come quickly. `python cores.py KIND`."""

import os
import socket
import subprocess
import sys
import threading
import time

left, right = socket.socketpair()


def talk(times=600):
    for _ in range(times):
        left.send(b"x")
        right.recv(1)


def own(tid="self"):
    """The cores as the kernel has them, not asked for by a call that the tracer sees."""
    with open(f"/proc/{tid}/status") as status:
        return next(line.split()[1] for line in status if line.startswith("Cpus_allowed_list"))


def asked():
    return len(os.sched_getaffinity(0))


kind = sys.argv[1]
if kind == "asked":
    talk()
    for _ in range(20):
        talk(100)
        print(asked())
elif kind == "set":
    talk()
    os.sched_setaffinity(0, {1})
    talk()
    print(own())
    os.sched_setaffinity(0, {0, 1})
    talk()
    print(sorted(os.sched_getaffinity(0)))
elif kind == "child":
    for _ in range(20):
        talk(100)
        child = os.fork()
        if child == 0:
            print(own(), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
elif kind == "thread":
    for _ in range(20):
        talk(100)
        one = threading.Thread(target=lambda: print(own(f"self/task/{threading.get_native_id()}"), flush=True))
        one.start()
        one.join()
elif kind == "command":
    for _ in range(20):
        talk(100)
        subprocess.run(["grep", "Cpus_allowed_list", "/proc/self/status"], check=True)
elif kind == "exec":
    talk()
    os.execvp("nproc", ["nproc"])
elif kind == "computes":
    talk()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        # Looking makes calls, too, and they come quickly: in between there is nothing but computing.
        pause = time.monotonic() + 0.1
        while time.monotonic() < pause:
            pass
        if own() == sys.argv[2]:
            break
    print(own())
elif kind == "sleeps":
    talk()
    print("asleep", flush=True)
    right.recv(1)
elif kind == "busy":
    print("busy", flush=True)
    while True:
        talk()
