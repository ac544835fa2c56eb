"""Hosts and links for the tests of frames: private namespaces, rootless, held by one process that ends with the test.

It is independent of ``wallsocket.lab``, so that neither is tested with itself.
"""

from __future__ import annotations

import array
import ctypes
import json
import os
import socket
import subprocess
import sys
from typing import Any

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


class Host:
    """A namespace whose sockets are made in this process."""

    def __init__(self, network: Network, number: int, name: str) -> None:
        self.network = network
        self.number = number
        self.name = name

    def socket(
        self,
        family: int = socket.AF_INET,
        kind: int = socket.SOCK_STREAM,
        proto: int = 0,
        /,
    ) -> socket.socket:
        descriptor = self.network._ask({"do": "socket", "host": self.number, "arguments": [family, kind, proto]}, True)
        made = socket.socket(family, kind, proto, fileno=descriptor)
        self.network.sockets.append(made)
        return made

    def run(self, *command: str) -> str:
        """Run a command in this host; its output. Fails when it fails."""
        return self.network._ask({"do": "run", "host": self.number, "arguments": list(command)})

    def sysctl(self, name: str, value: str) -> None:
        self.network._ask({"do": "write", "host": self.number, "arguments": [f"/proc/sys/{name}", value]})


class Network:
    """Hosts in one user namespace. Raises PermissionError where user namespaces are refused."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()
        self._hosts = 0
        #: Every socket that was made, closed at the end with the hosts.
        self.sockets: list[socket.socket] = []
        self._ask({"do": "begin"})

    def _ask(self, question: dict[str, Any], wants_socket: bool = False) -> Any:
        self._ours.send(json.dumps(question).encode())
        data, control, _, _ = self._ours.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        answer = json.loads(data)
        if "errno" in answer:
            raise OSError(answer["errno"], answer["text"])
        if wants_socket:
            return array.array("i", control[0][2])[0]
        return answer.get("result")

    def host(self, name: str) -> Host:
        self._ask({"do": "host"})
        made = Host(self, self._hosts, name)
        self._hosts += 1
        made.run("ip", "link", "set", "lo", "up")
        return made

    def link(
        self, a: Host, b: Host, name_a: str, name_b: str, address_a: str = "", address_b: str = "", mtu: int = 1500
    ) -> None:
        """A veth pair with offloads off, addresses set, both ends up and running."""
        self._ask({"do": "link", "host": a.number, "arguments": [b.number, name_a, name_b]})
        for host, name, address in ((a, name_a, address_a), (b, name_b, address_b)):
            # No duplicate address detection, no router solicitations: only what a test sends moves on the link.
            host.sysctl(f"net/ipv6/conf/{name}/accept_dad", "0")
            host.sysctl(f"net/ipv6/conf/{name}/router_solicitations", "0")
            host.sysctl(f"net/ipv6/conf/{name}/addr_gen_mode", "1")
            if address:
                flags = ["nodad"] if ":" in address else []
                host.run("ip", "address", "add", address, "dev", name, *flags)
            host.run("ip", "link", "set", name, "mtu", str(mtu), "up")

    def close(self) -> None:
        for made in self.sockets:
            made.close()
        self._ours.close()
        self._process.wait(10)


def _serve(channel: socket.socket) -> None:
    """The holder: answers until the other end is closed."""
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int) -> None:
        if result != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    namespaces: list[int] = []

    def enter(number: int) -> None:
        check(libc.setns(namespaces[number], _CLONE_NEWNET))

    def answer(question: dict[str, Any]) -> tuple[Any, int | None]:
        arguments = question.get("arguments", [])
        match question["do"]:
            case "begin":
                user, group = os.getuid(), os.getgid()
                check(libc.unshare(_CLONE_NEWUSER))
                for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
                    with open(f"/proc/self/{name}", "w") as file:
                        file.write(text)
            case "host":
                check(libc.unshare(_CLONE_NEWNET))
                namespaces.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
            case "socket":
                enter(question["host"])
                made = socket.socket(*arguments)
                return None, made.detach()
            case "run":
                enter(question["host"])
                done = subprocess.run(arguments, capture_output=True, text=True, stdin=subprocess.DEVNULL)
                if done.returncode:
                    raise OSError(5, f"{' '.join(arguments)}: {done.stderr.strip()}")
                return done.stdout, None
            case "write":
                enter(question["host"])
                with open(arguments[0], "w") as file:
                    file.write(arguments[1])
            case "link":
                enter(question["host"])
                other, name_a, name_b = arguments
                peer = f"/proc/{os.getpid()}/fd/{namespaces[other]}"
                command = ["ip", "link", "add", name_a, "type", "veth", "peer", "name", name_b, "netns", peer]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    raise OSError(5, done.stderr.strip())
                for number, name in ((question["host"], name_a), (other, name_b)):
                    enter(number)
                    offloads_off(name)
        return None, None

    def offloads_off(name: str) -> None:
        import fcntl
        import struct

        # ETHTOOL_STXCSUM, STSO, SGSO, SGRO (linux/ethtool.h) by SIOCETHTOOL.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for command in (0x17, 0x1F, 0x24, 0x2C):
                value = ctypes.create_string_buffer(struct.pack("II", command, 0), 8)
                request = struct.pack("16sQ16x", name.encode(), ctypes.addressof(value))
                fcntl.ioctl(sock, 0x8946, request)

    while True:
        data = channel.recv(1 << 20)
        if not data:
            return
        try:
            result, descriptor = answer(json.loads(data))
            reply: dict[str, Any] = {"result": result}
        except OSError as error:
            reply, descriptor = {"errno": error.errno or 5, "text": str(error.strerror or error)}, None
        control = [] if descriptor is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        channel.sendmsg([json.dumps(reply).encode()], control)
        if descriptor is not None:
            os.close(descriptor)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
