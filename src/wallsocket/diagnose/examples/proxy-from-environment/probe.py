"""Asks a service whether it is well."""

import sys
import urllib.request

try:
    print(urllib.request.urlopen(sys.argv[1], timeout=5).read())
except OSError as error:
    print(error)
