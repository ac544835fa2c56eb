"""File transfer."""

from __future__ import annotations

from ..exercise import Exercise, Scenario
from ..stage import Client, Mismatch, Stage

__all__ = ["EXERCISE"]

_TASK = """\
Write a service that sends files, over TCP.

Your program is started with a port number and the path of a folder. It listens on that TCP port, on all addresses of
the host, and serves any number of clients at once. A client sends the name of a file in the folder, with a line feed
(byte 10) at the end. Your program answers with OK, a space, the size of the file in decimal digits and a line feed;
then come the bytes of the file, and your program closes the connection. Where there is no such file it answers with
NO and a line feed, and closes.

A name has at most 255 bytes, of any value but the line feed, and need not be text. Only files that stand in the folder
itself may be sent, none from elsewhere, none from folders in it; a folder is no file. A client may ask for anything:
whatever a name looks like, it is answered. Files may be larger than all buffers; clients may be slow, or vanish before
the end of a name or in the middle of a file, and nobody else may suffer. A client that ends before the end of its name
gets no answer: your program closes the connection. Your program goes on for ever; it can be stopped and started again
at once.
"""

_SECRET = b"not for you\n"
#: More than the kernel keeps of a stream at both ends.
_LARGE = 12_000_000


def _start(stage: Stage) -> None:
    folder = stage.folder / "files"
    folder.mkdir(exist_ok=True)
    (folder / "small.txt").write_bytes(b"a small file\n")
    (folder / "empty").write_bytes(b"")
    (folder / "bytes").write_bytes(bytes(range(256)) * 10)
    (folder / "inner").mkdir(exist_ok=True)
    (folder / "inner" / "deep.txt").write_bytes(_SECRET)
    (stage.folder / "secret.txt").write_bytes(_SECRET)
    (stage.folder / "files-of-others").mkdir(exist_ok=True)
    (stage.folder / "files-of-others" / "secret.txt").write_bytes(_SECRET)
    stage.start(str(folder))


def _large(stage: Stage) -> bytes:
    data = b"0123456789abcdef" * (_LARGE // 16)
    (stage.folder / "files" / "large").write_bytes(data)
    return data


def _fetch(client: Client, name: bytes, data: bytes) -> None:
    client.send(name + b"\n")
    client.expect(b"OK %d\n" % len(data))
    client.expect(data)
    client.expect_end("the end of the stream behind the file")


def _refused(client: Client, name: bytes) -> None:
    client.send(name + b"\n")
    try:
        client.expect(b"NO\n")
    except Mismatch as mismatch:
        if client.came.startswith(b"OK"):
            mismatch.mistake = "path-escapes"
        raise
    client.expect_end()


def _small(stage: Stage) -> None:
    _start(stage)
    _fetch(stage.connect("client 1"), b"small.txt", b"a small file\n")
    _fetch(stage.connect("client 2"), b"bytes", bytes(range(256)) * 10)


def _empty(stage: Stage) -> None:
    _start(stage)
    _fetch(stage.connect(), b"empty", b"")


def _missing(stage: Stage) -> None:
    _start(stage)
    _refused(stage.connect("client 1"), b"missing.txt")
    _fetch(stage.connect("client 2"), b"small.txt", b"a small file\n")


def _parts(stage: Stage) -> None:
    _start(stage)
    client = stage.connect()
    client.send_parts(b"sma", b"ll.t")
    _fetch(client, b"xt", b"a small file\n")


def _whole(stage: Stage) -> None:
    _start(stage)
    data = _large(stage)
    client = stage.connect(receive_buffer=65_536)
    client.send(b"large\n")
    stage.student.settle(0.06)
    client.expect(b"OK %d\n" % len(data))
    client.expect(data)
    client.expect_end("the end of the stream behind the file")


def _two(stage: Stage) -> None:
    _start(stage)
    data = _large(stage)
    slow = stage.connect("client 1", receive_buffer=4096)
    slow.send(b"large\n", "and reads nothing yet")
    idle = stage.connect("client 2")
    stage.student.settle(0.1)
    _fetch(stage.connect("client 3"), b"small.txt", b"a small file\n")
    _fetch(idle, b"small.txt", b"a small file\n")
    slow.expect(b"OK %d\n" % len(data))


def _escape(stage: Stage) -> None:
    _start(stage)
    names = (
        b"../secret.txt",
        bytes(stage.folder) + b"/secret.txt",
        b"../files-of-others/secret.txt",
        b"inner/deep.txt",
    )
    for number, name in enumerate(names):
        _refused(stage.connect(f"client {number + 1}"), name)
    _fetch(stage.connect("client 5"), b"small.txt", b"a small file\n")


def _odd(stage: Stage) -> None:
    _start(stage)
    names = (b"inner", b"..", b"", b"small.txt\0", b"\xff\xfe.txt", b"n" * 255)
    for number, name in enumerate(names):
        _refused(stage.connect(f"client {number + 1}"), name)
    _fetch(stage.connect("client 7"), b"small.txt", b"a small file\n")


def _vanish(stage: Stage) -> None:
    _start(stage)
    _large(stage)
    gone = stage.connect("client 1")
    gone.send(b"large\n")
    stage.student.settle(0.06)
    gone.reset()
    gone = stage.connect("client 2")
    gone.send(b"large\n")
    gone.half_close()
    stage.student.settle(0.06)
    gone.reset()
    gone = stage.connect("client 3")
    gone.send(b"small")
    gone.half_close()
    gone.expect_closed()
    stage.student.settle(0.06)
    _fetch(stage.connect("client 4"), b"small.txt", b"a small file\n")
    stage.expect_alive()
    stage.expect_rest()


def _again(stage: Stage) -> None:
    _start(stage)
    _fetch(stage.connect("client 1"), b"small.txt", b"a small file\n")
    stage.connect("client 2")
    stage.student.settle(0.06)
    stage.stop()
    _start(stage)
    _fetch(stage.connect("client 3"), b"small.txt", b"a small file\n")


EXERCISE = Exercise(
    name="files",
    title="files for many clients",
    level=3,
    protocol="tcp",
    role="server",
    usage="FILE PORT FOLDER",
    task=_TASK,
    lessons=("tcp-streams", "four-ways"),
    at_once=True,
    scenarios=(
        Scenario("small", "small files", _small),
        Scenario("empty", "an empty file", _empty),
        Scenario("missing", "a file that is not there", _missing),
        Scenario("parts", "a name that comes in parts", _parts, "part-answered"),
        Scenario("large", "a file that is larger than all buffers", _whole),
        Scenario("two", "a client that does not read, one that says nothing, and others", _two),
        Scenario("escape", "names that lead out of the folder, or deeper", _escape),
        Scenario("odd", "names of folders, and names that no file has", _odd),
        Scenario(
            "vanish",
            "clients that vanish, then another one",
            _vanish,
            beside=("half-close-taken-for-close", "write-after-peer-closed"),
        ),
        Scenario("again", "the program is stopped and started again", _again),
    ),
)
