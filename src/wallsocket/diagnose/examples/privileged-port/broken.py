"""A small web server on port 80, started by an ordinary user."""

import ctypes
import socket
import sys

# Programs in a lab may use any port; this one is as it would be elsewhere: without a capability (capset(2)).
ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())

with socket.socket() as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", 80))
    except PermissionError as error:
        sys.exit(f"cannot start: {error}")
    listener.listen()
