"""A client written against the C library: no result is looked at, and the protocol number in its configuration is wrong."""

import ctypes
import socket

PROTOCOL = 999

library = ctypes.CDLL(None, use_errno=True)
descriptor = library.socket(socket.AF_INET, socket.SOCK_STREAM, PROTOCOL)
library.send(descriptor, b"hello", 5, 0)
