"""Logs of strace, in the forms in which people have them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import socket
from pathlib import Path

import pytest

from wallsocket.errors import RecordingError
from wallsocket.events import Call, Via
from wallsocket.kernel.address import Address
from wallsocket.trace import importing
from wallsocket.trace.importing import words
from wallsocket.trace.recording import Recording
from wallsocket.trace.syscalls import names

HERE = '{sa_family=AF_INET, sin_port=htons(4567), sin_addr=inet_addr("127.0.0.1")}'
THERE = '{sa_family=AF_INET, sin_port=htons(51000), sin_addr=inet_addr("127.0.0.1")}'
#: What a client does, one call a line: time, call, how long it took.
CLIENT = [
    (0.0, "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3", 0.00001),
    (0.1, f"connect(3, {HERE}, 16) = 0", 0.02),
    (0.2, 'sendto(3, "GET / HTTP/1.1\\r\\n\\0"..., 40, MSG_NOSIGNAL, NULL, 0) = 40', 0.00002),
    (0.3, 'recvfrom(3, "\\33[1mHTTP"..., 4096, 0, NULL, NULL) = 100', 0.25),
    (0.6, 'read(3, "", 4096) = 0', 0.00001),
    (0.7, "close(3) = 0", 0.00001),
]


def written(folder: Path, lines: list[str], name: str = "strace.log") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def opened(*paths: Path) -> Recording:
    return importing.open_files(paths)


def calls(recording: Recording) -> list[tuple[str, Call]]:
    known = names(recording.meta["machine"])
    return [(known[call.number], call) for call in recording.calls()]


def stamp(how: str, at: float, before: float) -> str:
    day = f"12:34:{int(50 + at):02d}"
    match how:
        case "-t":
            return day
        case "-tt":
            return f"{day}.{at % 1:.6f}".replace(".0.", ".")
        case "-ttt":
            return f"{1796021221 + at:.6f}"
        case "-r":
            return f"     {at - before:.6f}"
    raise AssertionError(how)


@pytest.mark.parametrize("how", ["-t", "-tt", "-ttt", "-r"])
@pytest.mark.parametrize("took", [True, False], ids=["-T", ""])
@pytest.mark.parametrize("pid", ["", "4711  ", "[pid 4711] "], ids=["alone", "-o", "-f"])
def test_every_form_of_time_and_process(tmp_path: Path, how: str, took: bool, pid: str) -> None:
    lines, before = [], 0.0
    for at, text, seconds in CLIENT:
        lines.append(f"{pid}{stamp(how, at, before)} {text}" + (f" <{seconds:.6f}>" if took else ""))
        before = at
    with opened(written(tmp_path, lines)) as recording:
        assert [name for name, _ in calls(recording)] == ["socket", "connect", "sendto", "recvfrom", "read", "close"]
        one = recording.sockets[1]
        assert (one.family, one.type, one.origin) == (socket.AF_INET, socket.SOCK_STREAM, "socket")
        assert str(Address.decode(one.remote or b"")) == "127.0.0.1:4567"
        assert one.ended_ns is not None
        _, sent = calls(recording)[2]
        assert (sent.payload, sent.length, sent.result, sent.offset) == (b"GET / HTTP/1.1\r\n\0", 40, 40, 0)
        assert (sent.via, sent.known, sent.source) == (Via.LOG, 0, None)
        _, received = calls(recording)[3]
        assert received.payload == b"\x1b[1mHTTP"
        assert received.took_ns == (250_000_000 if took else 0)
        # -t says full seconds: what took longer moves the lines behind it.
        assert received.entry_ns == (pytest.approx(300_000_000, abs=1000) if how != "-t" else received.entry_ns)
        assert recording.meta["calls"] == "yes"
        assert recording.meta["kernel"] == "a strace log holds nothing of the kernel's"
        assert [process.pid for process in recording.processes.values()] == [4711 if pid else 0]
        assert ("started_realtime_ns" in recording.meta) == (how == "-ttt")


def test_the_recording_is_private_and_goes_when_it_is_closed(tmp_path: Path) -> None:
    log = written(tmp_path, [f"1796021221.{number}00000 {text}" for number, (_, text, _) in enumerate(CLIENT)])
    recording = opened(log)
    assert recording.path is not None
    assert recording.path.stat().st_mode & 0o777 == 0o600
    assert recording.path.parent.stat().st_mode & 0o777 == 0o700
    recording.close()
    assert not recording.path.parent.exists()


def test_the_same_log_gives_the_same_recording(tmp_path: Path) -> None:
    log = written(tmp_path, [f"1796021221.{number}00000 {text}" for number, (_, text, _) in enumerate(CLIENT)])
    for name in ("one", "two"):
        importing.write([log], tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    packed = tmp_path / "strace.log.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    with opened(packed) as recording:
        assert len(calls(recording)) == len(CLIENT)


def test_calls_that_others_interrupt_are_put_together(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        [
            "[pid   100] 12:00:00.000000 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3<TCP:[7]> <0.000010>",
            "strace: Process 101 attached",
            f"[pid   101] 12:00:00.100000 connect(3<TCP:[7]>, {HERE}, 16 <unfinished ...>",
            "[pid   100] 12:00:00.150000 socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0) = 4<UNIX-DGRAM:[8]> <0.000010>",
            "[pid   101] 12:00:00.200000 <... connect resumed>) = -1 ECONNREFUSED (Connection refused) <0.100000>",
            "[pid   100] 12:00:00.300000 close(3<TCP:[7]>) = 0 <0.000010>",
            "[pid   101] 12:00:00.400000 recvfrom(4<UNIX-DGRAM:[8]>, ",
        ],
    )
    with opened(log) as recording:
        found = dict(calls(recording))
        assert (found["connect"].result, found["connect"].took_ns, found["connect"].tid) == (-111, 100_000_000, 101)
        # One table of descriptors: what the other thread closed was this socket.
        assert len(recording.processes) == 1
        assert recording.sockets[1].ended_ns == 300_010_000
        assert recording.sockets[1].inode == 7
        assert recording.meta["lost"] == "1"


def test_a_call_that_never_returned(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        [
            "1796021221.000000 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
            f"1796021221.100000 connect(3, {HERE}, 16) = 0",
            '1796021222.000000 write(1, "x", 1) = 1',
            "1796021222.000000 recvfrom(3,  <unfinished ...>",
            "1796021232.000000 +++ killed by SIGKILL +++",
        ],
    )
    with opened(log) as recording:
        name, call = calls(recording)[-1]
        assert (name, call.result, call.took_ns, call.socket) == ("recvfrom", None, None, 1)
        process = recording.processes[1]
        assert (process.signal, process.ended_ns) == (9, 11_000_000_000)
        assert recording.sockets[1].ended_ns == 11_000_000_000
        assert recording.meta["exit_status"] == "137"


def test_processes_that_fork_have_descriptors_of_their_own(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        [
            f"100 1796021221.000000 accept4(3<TCP:[127.0.0.1:4567]>, {THERE}, [16], SOCK_CLOEXEC) = 4"
            "<TCP:[127.0.0.1:4567->127.0.0.1:51000]> <0.1>",
            "100 1796021221.200000 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f) = 101 <0.001>",
            "100 1796021221.300000 close(4<TCP:[127.0.0.1:4567->127.0.0.1:51000]>) = 0 <0.00001>",
            '101 1796021221.400000 recvfrom(4<TCP:[127.0.0.1:4567->127.0.0.1:51000]>, "hi", 10, 0, NULL, NULL) = 2 <0.00001>',
            "101 1796021221.500000 close(4<TCP:[127.0.0.1:4567->127.0.0.1:51000]>) = 0 <0.00001>",
            "101 1796021221.600000 +++ exited with 0 +++",
        ],
    )
    with opened(log) as recording:
        assert [(one.pid, one.parent) for one in recording.processes.values()] == [(100, None), (101, 1)]
        made = next(one for one in recording.sockets.values() if one.origin == "accept")
        assert made.ended_ns == 500_010_000
        assert [call.socket for name, call in calls(recording) if name in ("close", "recvfrom")] == [made.id] * 3
        origins = [one.origin for one in recording.descriptors.values() if one.socket == made.id]
        assert origins == ["call", "fork"]


WAITS = "100 1796021221.100000 recvfrom(3<UDP:[7]>,  <unfinished ...>"
STOPPED = (
    "100 1796021222.100000 <... recvfrom resumed>0x7f, 9, 0, NULL, NULL) = ? ERESTARTSYS "
    "(To be restarted if SA_RESTART is set) <1.0>"
)
SIGNAL = "100 1796021222.200000 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=1, si_uid=0} ---"


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (["100 1796021222.300000 +++ killed by SIGTERM +++"], [(None, None)]),
        (["100 1796021222.300000 +++ exited with 1 +++"], [(-512, 1_000_000_000)]),
        (['100 1796021222.300000 recvfrom(3<UDP:[7]>, "ab", 9, 0, NULL, NULL) = 2 <2.5>'], [(2, 3_700_000_000)]),
        (["100 1796021222.300000 close(3<UDP:[7]>) = 0"], [(-512, 1_000_000_000), (0, 0)]),
        ([], [(-512, 1_000_000_000)]),
    ],
    ids=["never", "exit", "again", "another", "cut"],
)
def test_a_call_that_a_signal_stopped(
    tmp_path: Path, then: list[str], expected: list[tuple[int | None, int | None]]
) -> None:
    made = "100 1796021221.000000 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3<UDP:[7]> <0.00001>"
    looked = "100 1796021221.050000 poll([{fd=3<UDP:[7]>, events=POLLIN}], 1, 0) = 0 (Timeout)"
    with opened(written(tmp_path, [made, looked, WAITS, STOPPED, SIGNAL, *then])) as recording:
        assert [(call.result, call.took_ns) for _, call in calls(recording)[2:]] == expected


def test_a_child_has_what_its_parent_closed_before_it_was_first_seen(tmp_path: Path) -> None:
    """Without the calls that make processes, as with -e trace=network,desc."""
    log = written(
        tmp_path,
        [
            "100 12:00:00.000000 socketpair(AF_UNIX, SOCK_STREAM, 0, [3<UNIX-STREAM:[7->8]>, 4<UNIX-STREAM:[8->7]>]) = 0",
            "100 12:00:00.100000 close(4<UNIX-STREAM:[8->7]>) = 0",
            "101 12:00:00.200000 close(3<UNIX-STREAM:[7->8]>) = 0",
            '101 12:00:00.300000 read(4<UNIX-STREAM:[8->7]>, "x", 1) = 1',
            "101 12:00:00.400000 +++ exited with 0 +++",
            "100 12:00:00.500000 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=101, si_uid=0, si_status=0} ---",
        ],
    )
    with opened(log) as recording:
        assert [one.origin for one in recording.sockets.values()] == ["socketpair", "socketpair"]
        assert recording.sockets[2].ended_ns == 400_000_000
        assert [call.socket for _, call in calls(recording)] == [None, 2, 1, 2]


@pytest.mark.parametrize(
    "after", ["", "[  41] ", "[00007f5639726a07] ", "[  41] [????????????????] "], ids=["", "-n", "-i", "-ni"]
)
@pytest.mark.parametrize("before", ["100<a b> ", "[pid   100<a b>] "], ids=["-o", "-f"])
def test_what_stands_before_a_call(tmp_path: Path, before: str, after: str) -> None:
    lines = [
        "socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0",
        "close(3) = 0",
        "+++ exited with 0 +++",
    ]
    log = written(tmp_path, [f"{before}1796021221.{number}00000 {after}{line}" for number, line in enumerate(lines)])
    with opened(log) as recording:
        assert [name for name, _ in calls(recording)] == ["socketpair", "close"]
        assert recording.processes[1].pid == 100
        assert recording.meta["exit_status"] == "0"


def test_without_f_threads_and_children_are_missing(tmp_path: Path) -> None:
    lines = [
        "100 1.0 socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0",
        "100 1.1 clone3({flags=CLONE_VM|CLONE_THREAD, stack=0x7f}, 88) = 101",
        "100 1.2 close(3) = 0",
    ]
    with opened(written(tmp_path, lines)) as recording:
        assert recording.meta["calls"].startswith("incomplete: threads and children")
    with opened(written(tmp_path, [*lines, "101 1.3 close(4) = 0"])) as recording:
        assert recording.meta["calls"] == "yes"


def test_polls_and_epoll_name_their_sockets(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        [
            "1.0 socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0",
            "1.1 poll([{fd=3, events=POLLIN}, {fd=9, events=POLLIN}], 2, 1500) = 1 ([{fd=3, revents=POLLIN|POLLHUP}])",
            "1.2 pselect6(5, [3 4], [4], NULL, {tv_sec=0, tv_nsec=5000000}, NULL) = 1 (in [3], left {tv_sec=0, tv_nsec=1})",
            "1.3 epoll_create1(EPOLL_CLOEXEC) = 5",
            "1.4 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN|EPOLLET, data={u32=77, u64=77}}) = 0",
            "1.5 epoll_wait(5, [{events=EPOLLIN, data={u32=77, u64=77}}], 10, -1) = 1",
            '1.6 write(3, "abc", 3) = 3',
            "1.7 close(3) = 0",
            "1.8 poll(0x7ffc2000, 1, 0) = -1 EFAULT (Bad address)",
            "1.9 read(4,  <unfinished ...>",
            "2.0 <... read resumed>0x7ffc2000, 100) = -1 EAGAIN (Resource temporarily unavailable)",
        ],
    )
    with opened(log) as recording:
        found = dict(calls(recording))
        assert found["poll"].entry_sockets == (1, 0)
        assert found["poll"].value == bytes.fromhex("03000000010011000900000001000000")
        assert (found["poll"].a, found["poll"].b, found["poll"].socket) == (2, 1500, 1)
        assert found["pselect6"].entry_sockets == (1, 2)
        assert found["pselect6"].b == 5
        assert (found["epoll_ctl"].fd, found["epoll_ctl"].b, found["epoll_ctl"].socket) == (5, 4, 2)
        assert found["epoll_ctl"].c == 0x80000001
        assert found["epoll_wait"].entry_sockets == (2,)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["socket(AF_INET, SOCK_STREAM, 0) = 3", "close(3) = 0"], "the lines of this strace log have no times"),
        (["1.0 socket(AF_INET, SOCK_STREAM, 0) = 3"], "read, write and close are not in this strace log"),
        (["1.0 close(3) = 0", '1.1 read(3, "", 1) = 0'], "no call on a socket in this strace log"),
        (
            ["1.0 socket(0x2, 0x1, 0) = 0x3", "1.1 close(0x3) = 0"],
            "arguments are not decoded in this strace log .-e raw",
        ),
        (["1.0 socketpair(AF_UNIX, SOCK_STREAM, 0, [...]) = 0", '1.1 read(3, ""..., 1) = 1'], "are left out .* .-s 0"),
    ],
)
def test_what_is_missing_is_said_in_one_line_with_the_command(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(RecordingError, match=said) as caught:
        opened(written(tmp_path, lines))
    assert str(caught.value).endswith("record with: " + importing.strace.COMMAND)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lzma.compress(b"1.0 close(3) = 0\n"), "is packed with xz; unpack it first"),
        (bz2.compress(b"1.0 close(3) = 0\n"), "is packed with bzip2; unpack it first"),
        ("1.0 close(3) = 0\n".encode("utf-16"), "is text in UTF-16; save it in UTF-8"),
        (gzip.compress(b"1.0 close(3) = 0\n" * 99)[:30], "is not a recording|it is cut off or damaged"),
    ],
    ids=["xz", "bzip2", "UTF-16", "gzip"],
)
def test_what_a_log_is_packed_in_is_said(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "strace.log"
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=said) as caught:
        opened(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a recording|is empty"),
        ("hello\nworld\n", "is not a recording"),
        (
            "% time     seconds  usecs/call     calls    errors syscall\n",
            "holds counts alone .strace -c.; record calls with: ",
        ),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(RecordingError, match=rf"notes\.txt: ({said})"):
        opened(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MSG_NOSIGNAL|MSG_DONTWAIT", 0x4040),
        ("0x80 /* SO_??? */", 0x80),
        ("0666", 0o666),
        ("htons(ETH_P_ALL)", 0x0300),
        ("[ECONNREFUSED]", 111),
        ("SOL_TCP", 6),
        ("TCP_NODELAY", 1),
        ("SO_RCVTIMEO_OLD", 20),
        ("WHAT_IS_THIS", None),
        ("", None),
    ],
)
def test_numbers(text: str, expected: int | None) -> None:
    assert words.number(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HERE, "127.0.0.1:4567"),
        ("{sa_family=AF_INET, sin_port=htons(0), sin_addr=htonl(INADDR_ANY)}", "0.0.0.0:0"),
        (
            '{sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "fe80::1", '
            "&sin6_addr), sin6_scope_id=2}",
            "[fe80::1%2]:53",
        ),
        (
            '{sa_family=AF_INET6, sin6_port=htons(53), inet_pton(AF_INET6, "::1", &sin6_addr), '
            "sin6_flowinfo=htonl(0), sin6_scope_id=0}",
            "[::1]:53",
        ),
        ('{sa_family=AF_UNIX, sun_path="/run/x"}', "unix:/run/x"),
        ('{sa_family=AF_UNIX, sun_path=@"abc"}', "unix:@abc"),
        ('{sa_family=AF_UNIX, sun_path="/run/x"...}', None),
        ('{sa_family=AF_INET, sin_port=htons(70000), sin_addr=inet_addr("1.2.3.4")}', None),
        ("0x7ffd", None),
    ],
)
def test_addresses(text: str, expected: str | None) -> None:
    found = words.address(text)
    assert (str(Address.decode(found)) if found is not None else None) == expected


def test_a_string_may_hold_everything_that_stands_between_arguments() -> None:
    parsed = words.arguments(r'3<TCP:[1.2.3.4:1->5.6.7.8:2]>, "a, b) = \"5\" }<", 9, {a=[1, 2], b="}"}) = 9 <0.1>')
    assert parsed is not None
    assert parsed[0] == ["3<TCP:[1.2.3.4:1->5.6.7.8:2]>", r'"a, b) = \"5\" }<"', "9", '{a=[1, 2], b="}"}']
    assert parsed[1] == " = 9 <0.1>"
