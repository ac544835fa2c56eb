"""A server writes its log to a program that has stopped reading."""

import os
import subprocess
import sys
import time

LOGGER = """
import sys, time
time.sleep(30)
"""

logger = subprocess.Popen([sys.executable, "-c", LOGGER], stdin=subprocess.PIPE)
assert logger.stdin is not None
if os.fork() == 0:
    logger.stdin.close()
    time.sleep(1.5)
    print("ready", flush=True)
    time.sleep(20)
    os._exit(0)
for number in range(2000):
    os.write(logger.stdin.fileno(), b"request %6d: %s\n" % (number, b"." * 80))
time.sleep(20)
