"""A server written against the C library: the family is missing in the address, and no result is looked at."""

import ctypes
import socket
import struct

library = ctypes.CDLL(None)
address = struct.pack("=HH4s8x", 0, socket.htons(7002), bytes(4))
listener = library.socket(socket.AF_INET6, socket.SOCK_STREAM, 0)
library.bind(listener, address, len(address))
library.listen(listener, 16)
print("listening on port 7002")
