"""A sender written against the C library that keeps the number of a connection which a watchdog closes."""

import ctypes
import socket
import threading

library = ctypes.CDLL(None, use_errno=True)
with socket.create_server(("127.0.0.1", 7041)) as listener, socket.create_connection(("127.0.0.1", 7041)):
    accepted, _ = listener.accept()
    number = accepted.detach()
    watchdog = threading.Thread(target=library.close, args=(number,))
    watchdog.start()
    watchdog.join()
    if library.send(number, b"status\n", 7, socket.MSG_NOSIGNAL) < 0:
        print("send failed:", ctypes.get_errno())
