"""Labs of the same user in another process: ``wallsocket lab up`` offers one, ``lab shell`` and ``lab link`` use it.

The two speak over a Unix socket in the abstract namespace, so nothing stays behind when either is killed. Names there
are free for all, so each side checks that the other is of the same user (SO_PEERCRED) before it says anything.

One message each way: a JSON object, and with the answer to ``enter`` the descriptors of the host's namespaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import UsageError, WallsocketError
from .network import Lab

__all__ = ["Offer", "Remote", "running"]

#: Largest message, in bytes.
_LARGEST = 1 << 20
#: A host has at most four namespaces.
_DESCRIPTORS = 4
#: How long the other side may take to answer, in seconds.
_ANSWER_LIMIT_S = 30.0


def _address(name: str) -> str:
    return f"\0wallsocket-lab-{os.geteuid()}-{name}"


def _is_mine(connection: socket.socket) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", credentials)[1] == os.geteuid())


def running() -> list[str]:
    """Names of the caller's labs that are up, sorted; a name that somebody else has taken is none of them."""
    own = re.compile(rf"@wallsocket-lab-{os.geteuid()}-(\S+)$", re.MULTILINE)
    return sorted(name for name in set(own.findall(Path("/proc/net/unix").read_text())) if _is_up(name))


def _is_up(name: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(_ANSWER_LIMIT_S)
        try:
            connection.connect(_address(name))
        except OSError:
            return False
        return _is_mine(connection)


def _status(net: Lab) -> dict[str, Any]:
    links = []
    for link in net.links:
        ways = [
            {
                "toward": end.name,
                "settings": link.settings(end),
                "counters": link.counters(end) if link.counts else None,
            }
            for end in (link.b, link.a)
        ]
        links.append({"link": str(link), "cut": link.is_cut, "ways": ways})
    hosts = [
        {"host": host.name, "addresses": [str(address) for face in host.interfaces for address in face.addresses]}
        for host in net
    ]
    return {"hosts": hosts, "links": links}


class Offer:
    """A lab of this process, offered under a name until it is closed.

    Raises:
        UsageError: another lab of the user has the name.
    """

    def __init__(self, net: Lab, name: str, *, on_down: Callable[[], None]) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}", name):
            raise UsageError(f"{name!r} cannot be the name of a lab: letters, digits, dots, hyphens, at most 41")
        self.name = name
        self._net = net
        self._on_down = on_down
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._listener.bind(_address(name))
        except OSError:
            self._listener.close()
            taken = (
                f"a lab {name!r} is up already" if _is_up(name) else f"the name {name!r} is taken by another program"
            )
            raise UsageError(f"{taken}; give this one another --name") from None
        self._listener.listen()
        threading.Thread(target=self._serve, name="wallsocket-control", daemon=True).start()

    def close(self) -> None:
        """Withdraw the offer."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                if _is_mine(connection):
                    connection.settimeout(_ANSWER_LIMIT_S)
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            request = json.loads(connection.recv(_LARGEST))
            answer, descriptors = self._do(request)
        except WallsocketError as error:
            answer = {"error": str(error)}
        except (ValueError, KeyError, TypeError) as error:
            answer = {"error": f"the request is not understood: {error!r}"}
        except OSError as error:
            answer = {"error": error.strerror or str(error)}
        socket.send_fds(connection, [json.dumps(answer).encode()], descriptors)

    def _do(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        action = request["do"]
        if action == "enter":
            return {}, self._net[request["host"]]._enter()
        if action == "status":
            return _status(self._net), []
        if action == "down":
            self._on_down()
            return {}, []
        if action == "link":
            link = self._net.link_between(*request["ends"])
            if request.get("clear"):
                link.clear()
            if request["settings"]:
                link.set(toward=request.get("toward"), **request["settings"])
            for name, value in request.get("scripts", {}).items():
                getattr(link, {"reset_after": "reset_after", "refuse": "refuse"}[name])(value)
            if "blackhole" in request:
                link.blackhole(after=request["blackhole"])
            if "cut" in request:
                link.cut(request["cut"])
            if request.get("restore"):
                link.restore()
            return _status(self._net), []
        raise UsageError(f"a lab does no {action!r}")


class Remote:
    """A lab of the same user that another process has up."""

    def __init__(self, name: str | None = None) -> None:
        """Find it.

        Raises:
            UsageError: it is not up, or there are several and no name is given.
        """
        found = running()
        if name is None:
            if not found:
                raise UsageError("no lab is up; begin one with: wallsocket lab up FILE")
            if len(found) > 1:
                raise UsageError(f"several labs are up; choose one with --name: {', '.join(found)}")
            (name,) = found
        elif name not in found:
            raise UsageError(f"no lab {name!r} is up (up: {', '.join(found) or 'none'})")
        self.name = name

    def ask(self, do: str, **request: Any) -> tuple[dict[str, Any], list[int]]:
        """Ask for something; the answer and the descriptors that came with it.

        Raises:
            UsageError: the lab refuses, with its words, or is gone.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(_ANSWER_LIMIT_S)
            try:
                connection.connect(_address(self.name))
                if not _is_mine(connection):
                    raise UsageError(f"the lab {self.name!r} is not yours")
                connection.sendall(json.dumps({"do": do, **request}).encode())
                answer, descriptors, _, _ = socket.recv_fds(connection, _LARGEST, _DESCRIPTORS)
            except OSError as error:
                raise UsageError(f"the lab {self.name!r} does not answer: {error.strerror or error}") from error
        if not answer:
            raise UsageError(f"the lab {self.name!r} is gone")
        message: dict[str, Any] = json.loads(answer)
        if "error" in message:
            raise UsageError(message["error"])
        return message, descriptors
