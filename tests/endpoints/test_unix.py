"""Unix endpoints against the real kernel."""

from __future__ import annotations

import os
import stat

import anyio
import pytest

from wallsocket import aio, framing, unix
from wallsocket.errors import DeadlinePassed, TruncatedDatagram, UsageError, WouldBlock, WrongState


def test_stream_with_path(tmp_path):
    path = tmp_path / "socket"
    with unix.listen(path, mode=0o600) as listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with unix.connect(f"unix:{path}", timeout_s=10) as client, listener.accept(timeout_s=10) as server:
            assert client.peer_credentials == unix.Credentials(os.getpid(), os.geteuid(), os.getegid())
            client.messages(framing.LengthPrefixed(2)).send(b"hello")
            assert server.messages(framing.LengthPrefixed(2)).receive(timeout_s=10) == b"hello"
            assert (listener.kernel_state, client.kernel_state) == ("LISTEN", "ESTABLISHED")
    assert not path.exists()


def test_stale_files_are_replaced_and_live_ones_are_not(tmp_path):
    path = str(tmp_path / "socket")
    os.close(unix.listen(path).detach())  # as a crash leaves it
    assert os.path.exists(path)
    with pytest.raises(OSError, match="Address already in use"):
        unix.listen(path, replace_stale=False)
    with unix.listen(path):
        with pytest.raises(OSError, match="Address already in use"):
            unix.listen(path)
        with unix.connect(path, timeout_s=10):
            pass
    (tmp_path / "file").write_text("no socket")
    with pytest.raises(OSError, match="Address already in use"):
        unix.listen(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "no socket"


def test_a_file_of_somebody_else_is_left_alone(tmp_path):
    path = str(tmp_path / "socket")
    first = unix.listen(path)
    os.unlink(path)
    with unix.listen(path):
        first.close()
        assert os.path.exists(path)


def test_abstract_names():
    name = f"unix:@wallsocket-test-{os.getpid()}"
    with unix.listen(name) as listener, unix.connect(name) as client, listener.accept(timeout_s=10):
        assert name in repr(client)


def test_descriptors_travel():
    a, b = unix.pair()
    read, write = os.pipe()
    a.send_descriptors(b"x", [write, read])
    os.close(write)
    data, descriptors = b.receive_descriptors(timeout_s=10)
    assert data == b"x"
    os.write(descriptors[0], b"through")
    assert os.read(read, 10) == b"through"
    assert not os.get_inheritable(descriptors[0])
    for descriptor in (*descriptors, read):
        os.close(descriptor)
    before = set(os.listdir("/proc/self/fd"))
    a.send_descriptors(b"x", [0] * 8)
    with pytest.raises(UsageError, match="more than max_descriptors=2"):
        b.receive_descriptors(max_descriptors=2, timeout_s=10)
    assert len(set(os.listdir("/proc/self/fd"))) == len(before)
    with pytest.raises(UsageError, match="at least one byte"):
        a.send_descriptors(b"", [0])
    with pytest.raises(UsageError, match="1 to 253"):
        a.send_descriptors(b"x", [0] * 254)
    a.close()
    b.close()


def test_seqpacket_keeps_messages():
    a, b = unix.pair("seqpacket")
    a.send(b"one")
    a.send(b"two")
    assert (b.receive(timeout_s=10), b.receive(timeout_s=10)) == (b"one", b"two")
    a.send(b"too long for it")
    with pytest.raises(TruncatedDatagram, match="15 bytes did not fit") as caught:
        b.receive(4, timeout_s=10)
    assert (caught.value.length, caught.value.data) == (15, b"too ")
    a.close()
    assert b.receive(timeout_s=10) == b""
    b.close()


def test_datagrams(tmp_path):
    with unix.bind(tmp_path / "a") as a, unix.bind(tmp_path / "b") as b, unix.Endpoint() as nobody:
        a.send(b"hello", tmp_path / "b")
        got = b.receive(timeout_s=10)
        assert (got.data, got.peer) == (b"hello", str(tmp_path / "a"))
        b.send(b"back", got.peer)
        assert a.receive(timeout_s=10).data == b"back"
        nobody.connect(tmp_path / "a")
        nobody.send(b"anonymous")
        assert not a.receive(timeout_s=10).peer
        with pytest.raises(TruncatedDatagram, match="200000 bytes"):
            nobody.send(b"x" * 200_000)
            a.receive(1000, timeout_s=10)
        with pytest.raises(FileNotFoundError):
            a.send(b"x", tmp_path / "missing")


def test_a_full_receiver_makes_the_sender_wait(tmp_path):
    with unix.bind(tmp_path / "a") as a, unix.Endpoint() as sender:
        with pytest.raises(DeadlinePassed):
            for _ in range(100_000):
                sender.send(b"x", tmp_path / "a", timeout_s=0.05)
        a.receive(timeout_s=10)
        sender.send(b"x", tmp_path / "a", timeout_s=10)


@pytest.mark.parametrize(
    ("address", "why"),
    [("", "empty"), ("x" * 108, "takes 107"), ("unix:@" + "x" * 108, "takes 108"), (5, "expected a path")],
)
def test_wrong_addresses(address, why):
    with pytest.raises(UsageError, match=why):
        unix.listen(address)


def test_wrong_states_and_kinds(tmp_path):
    with pytest.raises(UsageError, match="kind must be"):
        unix.pair("datagram")
    with pytest.raises(UsageError, match=r"bind\(\) first"), unix.Listener() as listener:
        listener.listen()
    with unix.bind(tmp_path / "a") as a, pytest.raises(WrongState, match="has an address already"):
        a.bind(tmp_path / "b")


def test_batches_of_datagrams(tmp_path):
    with unix.bind(tmp_path / "a") as a, unix.Endpoint() as sender:
        sender.connect(tmp_path / "a")
        sent = [b"one", b"", b"three", b"four"]
        assert sender.send_many(sent) == 4
        assert [each.data for each in a.receive_many(3, timeout_s=10)] == sent[:3]
        assert [each.data for each in a.receive_many(timeout_s=10)] == sent[3:]
        with pytest.raises(WouldBlock):
            a.receive_many(timeout_s=0)
        with pytest.raises(DeadlinePassed, match="datagrams went out") as caught:
            sender.send_many([b"x"] * 100_000, timeout_s=0.05)
        came = 0
        while came < caught.value.done:
            came += len(a.receive_many(timeout_s=10))
        assert came == caught.value.done


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_same_on_event_loops(backend, tmp_path):
    async def check():
        a, b = aio.unix.pair("seqpacket")
        async with a, b:
            assert a.peer_credentials == unix.Credentials(os.getpid(), os.geteuid(), os.getegid())
            await a.send(b"too long for it")
            with pytest.raises(TruncatedDatagram, match="15 bytes did not fit") as caught:
                await b.receive(4)
            assert caught.value.data == b"too "
            read, write = os.pipe()
            await a.send_descriptors(b"x", [write])
            os.close(write)
            data, descriptors = await b.receive_descriptors()
            assert data == b"x"
            os.write(descriptors[0], b"through")
            assert os.read(read, 10) == b"through"
            for descriptor in (*descriptors, read):
                os.close(descriptor)
            before = os.listdir("/proc/self/fd")
            await a.send_descriptors(b"x", [0] * 8)
            with pytest.raises(UsageError, match="more than max_descriptors=2"):
                await b.receive_descriptors(max_descriptors=2)
            assert len(os.listdir("/proc/self/fd")) == len(before)
        async with await aio.unix.bind(tmp_path / "d") as service, aio.unix.Endpoint() as client:
            client.connect(tmp_path / "d")
            assert await client.send_many([b"one", b"two"]) == 2
            assert [each.data for each in await service.receive_many()] == [b"one", b"two"]
            await client.send(b"x" * 2000)
            with pytest.raises(TruncatedDatagram, match="2000 bytes"):
                await service.receive(1000)
            with pytest.raises(FileNotFoundError):
                await client.send(b"x", tmp_path / "missing")

    anyio.run(check, backend=backend)
