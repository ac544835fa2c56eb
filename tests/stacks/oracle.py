"""Runs inside the program under test and says itself where each of its threads and tasks is.

A line on standard input is answered by one line of JSON on standard output. Imported by programs on every supported
interpreter, also with ``-I -S -E``: only the standard library, and nothing newer than Python 3.11.
"""

import gc
import json
import os
import sys
import threading
import time


def walk(frame):
    """Innermost first."""
    places = []
    while frame is not None:
        places.append([frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname])
        frame = frame.f_back
    return places


def chain(awaitable):
    """The frames of coroutines that await one another, innermost first."""
    places = []
    while awaitable is not None:
        for prefix in ("cr", "ag", "gi"):
            frame = getattr(awaitable, prefix + "_frame", None)
            if frame is not None:
                places.append([frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname])
                awaited = "gi_yieldfrom" if prefix == "gi" else prefix + "_await"
                awaitable = getattr(awaitable, awaited)
                break
        else:
            # What an asynchronous generator or coroutine gives out to be awaited has no attribute that leads on.
            if type(awaitable).__name__ not in ("coroutine_wrapper", "async_generator_asend"):
                break
            awaitable = gc.get_referents(awaitable)[0]
    return places[::-1]


def answer(loops):
    names = {thread.ident: thread for thread in threading.enumerate()}
    own = threading.get_ident()
    threads = {
        names[ident].native_id: {"name": names[ident].name, "frames": walk(frame)}
        for ident, frame in sys._current_frames().items()
        if ident != own and ident in names
    }
    # Not imported for programs that do without it.
    tasks = {
        task.get_name(): chain(task.get_coro()) for loop in loops for task in sys.modules["asyncio"].all_tasks(loop)
    }
    return {"threads": threads, "tasks": tasks, "own": threading.get_native_id()}


def serve(loops):
    for _ in sys.stdin:
        print(json.dumps(answer(loops)), flush=True)
    os._exit(0)  # the test is over, or died


def start(*loops, **facts):
    """Answers from now on, and tells the test that the program is ready; ``facts`` go with it."""
    threading.Thread(target=serve, args=(loops,), name="oracle", daemon=True).start()
    print(json.dumps({"pid": os.getpid(), "main": threading.main_thread().native_id, **facts}), flush=True)


def until_asleep(*threads):
    """Waits until each of the threads sleeps in the kernel, outside of the interpreter's lock."""
    deadline = time.monotonic() + 60
    for thread in threads:
        while True:
            with open(f"/proc/self/task/{thread.native_id}/syscall") as file:
                call = file.read().split()[0]
            if call not in ("running", "202", "98"):  # futex on x86-64 and on aarch64
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"{thread.name} is still in {call}")
            time.sleep(0.002)
