"""The host of another process' network namespace, for those who may enter it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from wallsocket.kernel import here
from wallsocket.kernel.elsewhere import Elsewhere

SERVER = (
    "import socket, subprocess, sys\nsubprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)\n"
    "listener = socket.create_server(('127.0.0.1', 4711), backlog=7)\nprint('ready', flush=True)\nsys.stdin.read()\n"
)


@pytest.mark.root
def test_sockets_of_another_namespace() -> None:
    interpreter = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    server = subprocess.Popen(
        ["unshare", "-n", interpreter, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        before = os.stat("/proc/thread-self/ns/net").st_ino
        (listener,) = Elsewhere(server.pid).listeners(4711)
        assert (str(listener.local), listener.backlog) == ("127.0.0.1:4711", 7)
        assert "127.0.0.1" in {str(one.address).partition("/")[0] for one in Elsewhere(server.pid).addresses()}
        assert os.stat("/proc/thread-self/ns/net").st_ino == before
        assert not [one for one in here.listeners(4711) if one.inode == listener.inode]


def test_a_process_that_is_gone() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    with pytest.raises(OSError, match="No such file|Operation not permitted"):
        Elsewhere(ended.pid).socket()
