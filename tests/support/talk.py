"""Captures made by hand: conversations told frame by frame."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from wallsocket.diagnose import Diagnosis, diagnose
from wallsocket.trace import importing
from wallsocket.wire import ARP, ICMP, TCP, UDP, Ethernet, IPv4
from wallsocket.wire.pcap import Writer

__all__ = ["CLIENT", "MS", "SERVER", "S", "Talk"]

MS = 1_000_000
S = 1_000_000_000
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
_BEGIN = 1_796_021_221 * S


class Talk:
    """One client and one server; sides: 0 the client, 1 the server. Each frame comes a tenth of a millisecond later."""

    def __init__(self, port: int = 80) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.now = 0
        self.ports = (40000, port)
        self.next = [1000, 5000]
        self._identification = 0
        self.latest = b""

    def wait(self, ns: int) -> None:
        """Time goes by."""
        self.now += ns

    def put(self, packet: Any) -> None:
        """Any frame."""
        self.latest = bytes(packet)
        self.frames.append((_BEGIN + self.now, self.latest))
        self.now += MS // 10

    def again(self) -> None:
        """The latest frame, seen once more on another interface."""
        self.frames.append((_BEGIN + self.now, self.latest))
        self.now += MS // 100

    def segment(self, side: int, flags: str, payload: bytes = b"", **more: Any) -> None:
        """A segment; its numbers go on unless they are given."""
        self._identification += 1
        fresh = "sequence_number" not in more
        fields = {"sequence_number": self.next[side], "acknowledgement_number": self.next[1 - side], **more}
        hosts = (CLIENT, SERVER)
        ip = IPv4(
            source=hosts[side], destination=hosts[1 - side], identification=self._identification, dont_fragment=True
        )
        tcp = TCP(source_port=self.ports[side], destination_port=self.ports[1 - side], flags=flags, **fields)
        self.put(Ethernet() / ip / tcp / payload if payload else Ethernet() / ip / tcp)
        if fresh:
            self.next[side] += len(payload) + sum(flag in flags for flag in "SF")

    def opens(self, round_trip_ns: int = MS) -> None:
        """The three segments of the beginning."""
        self.segment(0, "S", acknowledgement_number=0)
        self.wait(round_trip_ns)
        self.segment(1, "S.")
        self.segment(0, ".")

    def says(self, side: int, payload: bytes, **more: Any) -> None:
        """Payload, acknowledged by the other end at once."""
        self.segment(side, "P.", payload, **more)
        self.segment(1 - side, ".")

    def datagram(self, side: int, payload: bytes) -> None:
        """A UDP datagram."""
        hosts = (CLIENT, SERVER)
        ip = IPv4(source=hosts[side], destination=hosts[1 - side])
        self.put(Ethernet() / ip / UDP(self.ports[side], self.ports[1 - side]) / payload)

    def icmp(self, kind: int, code: int, source: str = SERVER, rest: int = 0) -> None:
        """An ICMP error about the latest frame."""
        quoted = self.latest[14:]
        error = ICMP(kind, code, rest) if rest else ICMP(kind, code)
        self.put(Ethernet() / IPv4(source=source, destination=CLIENT) / error / quoted[:64])

    def asks_who_has(self, address: str) -> None:
        """An ARP request of the client."""
        self.put(Ethernet() / ARP(operation=1, sender=CLIENT, target=address))

    def written(self, path: Path) -> Path:
        """The capture as a file."""
        with Writer(path) as writer:
            for at_ns, frame in self.frames:
                writer.write(frame, timestamp_ns=at_ns)
        return path

    def data(self) -> bytes:
        """The same as bytes."""
        with tempfile.TemporaryDirectory() as folder:
            return self.written(Path(folder) / "talk.pcapng").read_bytes()

    def diagnosis(self, folder: Path) -> Diagnosis:
        """What the rules say of it."""
        with importing.open_files([self.written(folder / "talk.pcapng")]) as recording:
            return diagnose(recording)

    def found(self, folder: Path) -> list[str]:
        """``rule certainty severity`` of each finding."""
        return [f"{one.rule} {one.certainty} {one.severity}" for one in self.diagnosis(folder).findings]
