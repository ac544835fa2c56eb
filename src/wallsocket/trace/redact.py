"""A recording made fit for a public place: what happened stays, who it happened to and what was said goes.

Payload is gone, or where findings rest on how it looks only its shape is left. Addresses become others of the same kind,
the same ones everywhere, and those of one network stay in one network. Paths, Unix names, host names and the words of
command lines become words without meaning of the same length. Times, lengths, ports, lines of code, names of programs
and source files, numbers of processes and users stay.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import secrets
import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from .. import wire
from .._core import segments
from ..errors import RecordingError, UsageError
from ..events import Call, Fact, Mark, Packet, Process, Socket, Source, State
from ..kernel import options, program
from ..kernel.address import Address, end_of
from .dns import HEADER, asked_name
from .query import TABLES
from .recording import Recording, Writer
from .syscalls import names

__all__ = ["Redacted", "redact"]

#: What stays of payload that is made unreadable: an IP address with its other one in its place, and these words.
_TELLING: Final = re.compile(
    rb"(?P<word>https?://|\blocalhost\b)|(?<![\w.:])"
    rb"(?P<address>\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9A-Fa-f]{0,4}:){2,7}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{1,4}))(?![\w.]*\w)"
)
#: In the place of a word of a command line.
LEFT_OUT: Final = "…"
_AF_UNIX: Final = 1
_ETHERNET: Final = 1
_ROWS: Final = 512
#: Values of options that are no longer hold a number.
_NUMBER_BYTES: Final = 4
#: Levels of options whose values hold addresses: IPPROTO_IP, IPPROTO_IPV6.
_ADDRESSED_LEVELS: Final = (0, 41)
#: Directories of every system; their names tell nothing.
_KNOWN_WORDS: Final = frozenset(
    b"tmp run var usr bin sbin lib lib64 local share etc dev proc self fd home opt srv root log python3 site-packages "
    b"dist-packages sock socket pid src user shm nonexistent nscd dbus system_bus_socket systemd resolve "
    b"journal syslog".split()
)
_LITERAL: Final = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9A-Fa-f]{0,4}:){2,7}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}))(?![\w:])(?!\.\d)"
)


class Redacted(msgspec.Struct):
    """What was taken out.

    Attributes:
        path: the new recording.
        payload_bytes: bytes of payload that are gone.
        shaped_sockets: sockets of whose payload the shape was kept: letters are x, digits 0.
        addresses: IP addresses that became others; loopback and addresses that mean nobody stay.
        names: paths, Unix names, host names and words of command lines that became others.
    """

    path: Path
    payload_bytes: int = 0
    shaped_sockets: int = 0
    addresses: int = 0
    names: int = 0


def redact(
    recording: Recording, output: Path, *, replace: bool = False, shapes: Iterable[int] = (), key: bytes | None = None
) -> Redacted:
    """Write a copy without what does not belong into a public place.

    Args:
        recording: what to copy; it is only read.
        output: the new file, mode 0600.
        replace: an older recording may stand there.
        shapes: ids of sockets whose payload is not removed but made unreadable: letters become x, digits 0.
        key: chooses the new names and addresses; the same key gives the same ones. By default a fresh one.

    Raises:
        UsageError: ``output`` is the recording itself, or it still grows.
        RecordingError: the file cannot be made.
    """
    if recording.path is not None and output.exists() and output.samefile(recording.path):
        raise UsageError(f"{output} is the recording itself; write to another file")
    if recording.growing:
        raise UsageError(f"{recording.name} is still being recorded; redact it when that has ended")
    return _Redactor(recording, frozenset(shapes), key or secrets.token_bytes(16)).write(output, replace=replace)


class _Collected(msgspec.Struct):
    addresses: dict[str, str]
    macs: dict[str, str]
    packed: Any


class _Redactor:
    def __init__(self, recording: Recording, shapes: frozenset[int], key: bytes) -> None:
        self._recording = recording
        self._shapes = shapes
        self._key = key
        self._names: set[str] = set()
        self._addresses: dict[str, str] = {}
        self._payload_bytes = 0
        self._calls = names(recording.meta.get("machine", ""))

    def write(self, output: Path, *, replace: bool) -> Redacted:
        collect = self._collected()
        self._frames = wire.rewriter(collect.addresses, collect.macs)
        self._packed = collect.packed
        meta = self._meta()
        ended = {key: meta.pop(key) for key in ("ended_ns",) if key in meta}
        writer = Writer(output, meta=meta, replace=replace)
        try:
            with writer:
                self._copy(writer)
                writer.finish(ended)
        except BaseException as error:
            # Half a recording would tell less than it seems to.
            for ending in ("", "-wal", "-shm"):
                output.with_name(output.name + ending).unlink(missing_ok=True)
            if isinstance(error, RecordingError) and error.__cause__ is not None:
                raise RecordingError(f"{str(error).partition(';')[0]}; nothing was written") from error
            raise
        changed = sum(one != other for one, other in self._addresses.items())
        shaped = len(self._shapes)
        return Redacted(output, self._payload_bytes, shaped, changed, len(self._names))

    # -- rows

    def _copy(self, writer: Writer) -> None:
        for name, kind in TABLES.items():
            change = getattr(self, f"_{name}", None)
            batch: list[tuple[Any, ...]] = []
            for row in self._recording.rows(kind):
                batch.append(msgspec.structs.astuple(change(row) if change is not None else row))
                if len(batch) == _ROWS:
                    writer.write(name, batch)
                    batch = []
            writer.write(name, batch)

    def _meta(self) -> dict[str, str]:
        meta = dict(self._recording.meta)
        meta["payload"] = "none" if not self._shapes else meta.get("payload", "none")
        meta["redacted"] = "yes"
        if "command" in meta:
            meta["command"] = self._command(meta["command"]) or "[]"
        for key in ("failure", "calls", "kernel", "wire", "lines"):
            if key in meta:
                meta[key] = self._text(meta[key])
        return meta

    def _process(self, row: Process) -> Process:
        return msgspec.structs.replace(row, command=self._command(row.command), executable=self._file(row.executable))

    def _socket(self, row: Socket) -> Socket:
        return msgspec.structs.replace(row, local=self._sockaddr(row.local), remote=self._sockaddr(row.remote))

    def _source(self, row: Source) -> Source:
        return msgspec.structs.replace(row, file=self._file(row.file))

    def _binary(self, row: Any) -> Any:
        return msgspec.structs.replace(row, path=self._file(row.path))

    def _network(self, row: Any) -> Any:
        return msgspec.structs.replace(row, access=self._text(row.access) if row.access is not None else None)

    def _state(self, row: State) -> State:
        return msgspec.structs.replace(
            row,
            local=self._sockaddr(row.local),
            remote=self._sockaddr(row.remote),
            options=self._bytes(row.options),
        )

    def _call(self, row: Call) -> Call:
        name = self._calls.get(row.number, "")
        value = row.value
        if value is not None:
            if name in ("setsockopt", "getsockopt"):
                value = self._option(row, value)
            elif name in ("sendmsg", "recvmsg"):
                value = self._bytes(value)
            elif name == "ioctl":
                value = bytes(len(value))
        payload = row.payload
        if payload:
            if row.socket in self._shapes:
                payload = shape(payload, self._address)
            else:
                self._payload_bytes += len(payload)
                payload = None
        return msgspec.structs.replace(row, address=self._sockaddr(row.address), value=value, payload=payload)

    def _packet(self, row: Packet) -> Packet:
        link_type, length = row.link_type & 0xFFFFFFFF, row.length & 0xFFFFFFFF
        try:
            frame = self._frames(wire.decode(row.frame, link_type=link_type, original_length=length))
        except (UsageError, ValueError, OverflowError):
            frame = b""  # nothing that can be told apart from payload
        kept = segments.headers(link_type, frame, length)
        self._payload_bytes += len(row.frame) - len(kept)
        return msgspec.structs.replace(row, frame=kept)

    def _fact(self, row: Fact) -> Fact:
        try:
            value = json.loads(row.value)
        except (ValueError, RecursionError):
            return msgspec.structs.replace(row, value="null")
        return msgspec.structs.replace(row, value=json.dumps(self._json(value, row.kind), separators=(",", ":")))

    def _mark(self, row: Mark) -> Mark:
        if row.kind == "exec":
            return msgspec.structs.replace(row, text=self._command(row.text) or "[]")
        return msgspec.structs.replace(row, text=self._text(row.text))

    # -- values

    def _json(self, value: Any, key: str) -> Any:
        match value:
            case dict():
                return {name: self._json(item, name) for name, item in value.items()}
            case list():
                return [self._json(item, key) for item in value]
            case str() if key in ("path", "folder"):
                return self._unix_name(value.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
            case str() if key in (
                "command",
                "kind",
                "method",
                "state",
                "interface",
                "protocol",
                "flags",
                "pids_unknown",
            ):
                return value
            case str() if key.lower().endswith("proxy"):
                return self._hosts(self._text(value))
            case str():
                return self._text(value)
        return value

    def _option(self, row: Call, value: bytes) -> bytes:
        # What the kernel took are numbers, addresses, and names of devices and algorithms. What it refused, or what
        # nobody knows the form of, may be anything.
        option = options.find(row.a or 0, row.b or 0)
        addressed = row.a in _ADDRESSED_LEVELS
        if option is not None and option.kind == "text" and row.errno is not None:
            return self._word(value.rstrip(b"\0")).ljust(len(value), b"\0")
        if option is None or (option.kind == "bytes" and (row.errno is not None or not addressed)):
            return value if len(value) <= _NUMBER_BYTES else bytes(len(value))
        return self._bytes(value) or b"" if addressed else value

    def _bytes(self, value: bytes | None) -> bytes | None:
        """Bytes in which addresses stand packed: each that is known becomes the other."""
        if value is None or self._packed is None:
            return value
        changed: bytes = self._packed.sub(lambda found: self._packed_address(found[0]), value)
        return changed

    def _packed_address(self, packed: bytes) -> bytes:
        return ipaddress.ip_address(self._address(str(ipaddress.ip_address(packed)))).packed

    def _sockaddr(self, raw: bytes | None) -> bytes | None:
        if raw is None:
            return None
        end = end_of(raw)
        if end is None:
            if Address.decode(raw).family == _AF_UNIX:
                return raw[:2] + self._unix_name(raw[2:])
            return raw
        start, size = (4, 4) if struct.unpack_from("=H", raw)[0] == 2 else (8, 16)
        return raw[:start] + self._packed_address(raw[start : start + size]) + raw[start + size :]

    def _text(self, text: str) -> str:
        """A sentence: addresses in it become others, paths words without meaning."""
        text = _LITERAL.sub(self._literal, text)
        return re.sub(r"(?<![\w/])/[^\s\"']+", lambda found: self._file(found[0]) or "", text)

    def _literal(self, found: re.Match[str]) -> str:
        try:
            return self._address(found[0])
        except ValueError:
            return found[0]

    def _hosts(self, text: str) -> str:
        """Names of hosts in the address of a proxy, or in a list of those that need none."""

        def replace(found: re.Match[str]) -> str:
            word = found[0]
            if word in ("localhost", "http", "https", "socks5", "socks5h") or re.fullmatch(r"[\d.]+", word):
                return word
            return ".".join(self._word(part.encode()).decode() for part in word.split("."))

        return re.sub(r"[A-Za-z][\w-]*(?:\.[\w-]+)*", replace, text)

    # -- addresses

    def _address(self, text: str) -> str:
        if text not in self._addresses:
            self._addresses[text] = str(_mapped(ipaddress.ip_address(text), self._key))
        return self._addresses[text]

    def _collected(self) -> _Collected:
        """Every address that stands in the recording, for the places where it stands packed."""
        ips: set[bytes] = set()
        macs: set[str] = set()
        for item in self._recording.sockets.values():
            ips |= _packed_of(item.local) | _packed_of(item.remote)
        for call in self._recording.calls():
            ips |= _packed_of(call.address)
        for state in self._recording.states():
            ips |= _packed_of(state.local) | _packed_of(state.remote)
        for fact in self._recording.facts():
            for literal in _LITERAL.findall(fact.value):
                try:
                    ips.add(ipaddress.ip_address(literal).packed)
                except ValueError:
                    continue
        for packet in self._recording.packets():
            if packet.link_type == _ETHERNET and len(packet.frame) >= 12:
                macs |= {packet.frame[:6].hex(":"), packet.frame[6:12].hex(":")}
            for text in _addresses_of(packet):
                ips.add(ipaddress.ip_address(text).packed)
        table = {
            text: other
            for text in (str(ipaddress.ip_address(packed)) for packed in ips)
            if (other := self._address(text)) != text
        }
        # Multicast, broadcast and unset addresses of Ethernet name nobody.
        named = {mac for mac in macs if not int(mac[:2], 16) & 1 and mac != "00:00:00:00:00:00"}
        changed = [ipaddress.ip_address(text).packed for text in table]
        return _Collected(
            table,
            {mac: "02:" + self._digest(b"mac", mac.encode()).hex(":")[:14] for mac in sorted(named)},
            re.compile(b"|".join(map(re.escape, sorted(changed, key=len, reverse=True))), re.DOTALL)
            if changed
            else None,
        )

    # -- names

    def _digest(self, *parts: bytes) -> bytes:
        return hashlib.blake2b(b"\0".join(parts), key=self._key, digest_size=16).digest()

    def _word(self, word: bytes) -> bytes:
        """A word without meaning of the same length; the same one for the same word."""
        if not word or word in _KNOWN_WORDS or re.fullmatch(rb"[\d.]+|python3\.\d+|lib\d*", word):
            return word
        self._names.add(word.decode("utf-8", "replace"))
        letters = b""
        number = 0
        while len(letters) < len(word):
            letters += bytes(
                b"abcdefghijkmnpqrstuvwxyz"[byte % 24] for byte in self._digest(b"name", word, bytes([number]))
            )
            number += 1
        return letters[: len(word)]

    def _unix_name(self, name: bytes) -> bytes:
        """The name of a Unix socket: its slashes, dots and zero bytes stay where they were."""
        return b"".join(
            part if part in (b"/", b".", b"\0") else self._word(part) for part in re.split(rb"([/.\0])", name)
        )

    def _file(self, path: str | None) -> str | None:
        """A file: its own name stays, of the folders those that every system has."""
        if path is None or "/" not in path:
            return path
        *folders, name = path.split("/")
        known = [self._word(folder.encode("utf-8", "surrogateescape")).decode("utf-8", "replace") for folder in folders]
        return "/".join([*known, name])

    def _command(self, command: str | None) -> str | None:
        """A command line of which the words stay that tell the program's name."""
        words = program.command_words(command)
        if not words:
            return None if command is None else "[]"
        telling = set(program.telling(words))
        kept = [self._file(word) or word if word in telling else LEFT_OUT for word in words]
        self._names |= {word for word in words if word not in telling}
        name = program.name(words)
        return json.dumps(kept if program.name(kept) == name else [name], separators=(",", ":"))


def shape(payload: bytes, address: Callable[[str], str] = str) -> bytes:
    """Payload of which only the shape is left: letters are x and X, digits 0; what is neither stays where it was.

    The words by which a protocol is recognised stay: of HTTP/1 methods, versions, status and the names of fields, of TLS
    the heads of records, of DNS the head of a message; so do ``http://``, ``localhost``, and IP addresses, as what
    ``address`` makes of them.
    """

    def plainly(part: bytes) -> bytes:
        done, end = b"", 0
        for found in _TELLING.finditer(part):
            word = found[0]
            if found.lastgroup == "address":
                try:
                    word = address(str(ipaddress.ip_address(word.decode()))).encode()
                except ValueError:
                    continue
            done += part[end : found.start()].translate(_SHAPES) + word
            end = found.end()
        return done + part[end:].translate(_SHAPES)

    if asked_name(payload) is not None:
        return payload[:HEADER] + plainly(payload[HEADER:])
    protocol = segments.protocol(payload)
    if protocol == "tls":
        return payload[:6] + bytes(max(0, len(payload) - 6))
    if protocol in ("http/2", "ssh", "proxy"):
        return payload[:4] + plainly(payload[4:])
    if protocol == "http":
        head, *fields = payload.split(b"\r\n")
        head = re.sub(rb"(?<= )\S+(?= HTTP/)", lambda found: plainly(found[0]), head)
        head = re.sub(rb"(?<=^HTTP/1\.\d \d{3} ).*", lambda found: plainly(found[0]), head)
        told = [
            re.sub(rb"(?<=:).*", lambda found: plainly(found[0]), line) if b":" in line else plainly(line)
            for line in fields
        ]
        return b"\r\n".join([head, *told])
    return plainly(payload)


#: What a byte looks like.
_SHAPES: Final = bytes(
    ord("X") if 65 <= byte < 91 else
    ord("x") if 97 <= byte < 123 else
    ord("0") if 48 <= byte < 58 else
    0x80 if byte >= 0x80 else byte
    for byte in range(256)
)  # fmt: skip


def _packed_of(raw: bytes | None) -> set[bytes]:
    end = end_of(raw)
    if end is None or raw is None:
        return set()
    return {raw[4:8]} if struct.unpack_from("=H", raw)[0] == 2 else {raw[8:24]}


def _addresses_of(packet: Packet) -> set[str]:
    """IP addresses in a frame, in its neighbour discovery, and in a packet that it quotes."""
    try:
        frame: wire.Frame | None = wire.decode(
            packet.frame, link_type=packet.link_type & 0xFFFFFFFF, original_length=packet.length & 0xFFFFFFFF
        )
    except (UsageError, ValueError, OverflowError):
        return set()
    found: set[str] = set()
    while frame is not None:
        if frame.ip is not None:
            found |= {frame.ip.source, frame.ip.destination}
        if frame.arp is not None:
            found |= {address for address in (frame.arp.sender, frame.arp.target) if address is not None}
        if frame.icmp is not None and frame.icmp.target is not None:
            found.add(frame.icmp.target)
        frame = frame.quoted
    return found


@lru_cache(maxsize=1 << 16)
def _mapped(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, key: bytes
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Another address of the same kind. Two with a common beginning have one afterwards (Xu et al., Crypto-PAn, 2002).

    The last octet of IPv4 and the last 16 bits of IPv6 stay, by which broadcast addresses and those of networks stay such.
    """
    if address.is_loopback or address.is_unspecified or address.is_multicast or int(address) == 0xFFFFFFFF:
        return address
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            inner = _mapped(address.ipv4_mapped, key)
            return ipaddress.IPv6Address((0xFFFF << 32) | int(inner))
        # Of the kind fe80::/64, fc00::/8, 2000::/3 so many bits stay.
        kept = 64 if address.is_link_local else 8 if int(address) >> 121 == 0xFC >> 1 else 3
        return ipaddress.IPv6Address(_scrambled(int(address), 128, kept, 16, key))
    kinds = [network for network in _KINDS if address in network]
    if not kinds and not address.is_global:
        return address  # of a test network or a reserved one: it names nobody
    number = int(address)
    while True:
        number = _scrambled(number, 32, kinds[0].prefixlen if kinds else 0, 8, key)
        other = ipaddress.IPv4Address(number)
        # A public address stays public: it walks until it is.
        if kinds or (other.is_global and not other.is_multicast):
            return other


#: Kinds of IPv4 addresses whose beginning says what they are.
_KINDS: Final = tuple(
    map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"))
)


def _scrambled(number: int, bits: int, kept: int, spared: int, key: bytes) -> int:
    """Each bit between those that stay is turned or not, as the bits before it say."""
    result = 0
    for position in range(bits):
        bit = number >> (bits - 1 - position) & 1
        if kept <= position < bits - spared:
            before = number >> (bits - position)
            digest = hashlib.blake2b(f"{bits} {position} {before:x}".encode(), key=key, digest_size=1).digest()
            bit ^= digest[0] & 1
        result = result << 1 | bit
    return result
