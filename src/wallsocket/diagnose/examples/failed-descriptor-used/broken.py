"""A client written against the C library: no result is looked at, and there are no descriptors left."""

import ctypes
import resource
import socket

library = ctypes.CDLL(None, use_errno=True)
first_free = socket.socket()
number = first_free.fileno()
first_free.close()
resource.setrlimit(resource.RLIMIT_NOFILE, (number, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
descriptor = library.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
library.send(descriptor, b"hello", 5, 0)
