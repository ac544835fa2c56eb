"""Reasons of errors: found on this host, in time, no more often than allowed, never guessed."""

from __future__ import annotations

import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

import anyio
import pytest

from wallsocket import aio, reasons, tcp, udp, unix
from wallsocket.endpoints import blame
from wallsocket.endpoints import reasons as lookup
from wallsocket.kernel import Here, here


def reason_of(call):
    with pytest.raises(OSError) as caught:  # the reason says which
        call()
    found = reasons.of(caught.value)
    assert str(found) in caught.value.__notes__
    return found


@pytest.fixture
def listener():
    with tcp.listen("127.0.0.1:0") as listener:
        yield listener


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def test_nobody_listens(patient_reasons):
    port = free_port()
    found = reason_of(lambda: tcp.connect(("127.0.0.1", port)))
    assert found.cause.name == "nobody_listens"
    assert f"nobody listens on 127.0.0.1:{port}" in str(found)
    assert "Usual fix: start the service" in str(found)


def test_listener_on_another_address_is_named(patient_reasons, listener):
    found = reason_of(lambda: tcp.connect(("127.0.0.2", listener.local[1])))
    assert found.cause.name == "other_address"
    assert f"(pid {os.getpid()})" in str(found)


def test_swapped_port(patient_reasons):
    for _ in range(50):
        listener = tcp.listen("127.0.0.1:0")
        port = listener.local[1]
        swapped = (port & 0xFF) << 8 | port >> 8
        with listener, socket.socket() as probe:
            if swapped in (0, port) or probe.connect_ex(("127.0.0.1", swapped)) == 0:
                continue
            found = reason_of(lambda swapped=swapped: tcp.connect(("127.0.0.1", swapped)))
            assert found.cause.name == "byte_swapped_port"
            assert f"{swapped} is {port} with its bytes swapped" in str(found)
            return
    raise AssertionError("no usable port")


def test_the_other_protocol(patient_reasons, listener):
    with udp.connect(listener.local) as client:
        client.send(b"x")
        found = reason_of(lambda: client.receive(timeout_s=10))
    assert found.cause.name == "other_protocol"


def test_port_in_use(patient_reasons, listener):
    found = reason_of(lambda: tcp.listen(listener.local))
    assert found.cause.name == "in_use"
    assert "listens on" in str(found)
    with udp.bind("127.0.0.1:0") as taken:
        assert reason_of(lambda: udp.bind(taken.local)).cause.name == "in_use"


def test_address_of_another_host(patient_reasons):
    found = reason_of(lambda: tcp.listen("198.51.100.7:0"))
    assert found.cause.name == "not_my_address"
    assert "127.0.0.1 (lo)" in str(found)


def test_broadcast_without_the_option(patient_reasons):
    with udp.Endpoint() as endpoint:
        found = reason_of(lambda: endpoint.send(b"x", "255.255.255.255:9"))
    assert found.cause.name == "broadcast"


def test_unix_paths(patient_reasons, tmp_path):
    assert reason_of(lambda: unix.connect(tmp_path / "no" / "x")).cause.name == "no_such_file"
    stale = unix.listen(tmp_path / "stale")
    os.close(stale.detach())
    assert reason_of(lambda: unix.connect(tmp_path / "stale")).cause.name == "stale_socket_file"
    (tmp_path / "file").touch()
    assert reason_of(lambda: unix.connect(tmp_path / "file")).cause.name == "no_socket"
    with unix.bind(tmp_path / "datagram"):
        assert reason_of(lambda: unix.connect(tmp_path / "datagram")).cause.name == "other_type"
    assert reason_of(lambda: unix.connect("unix:@wallsocket-none")).cause.name == "nobody_listens"


def test_what_cannot_be_known_is_unknown(patient_reasons, listener):
    client = tcp.connect(listener.local)
    server = listener.accept(timeout_s=10)
    server.abort()
    found = reason_of(lambda: client.receive(timeout_s=10))
    assert (found.status, str(found)) == ("unknown", "reason: unknown")
    client.close()


def test_once_a_second_for_each_error_and_destination(patient_reasons, monkeypatch):
    monkeypatch.setattr(lookup, "INTERVAL_S", 60.0)  # a loaded machine may need more than a second for two errors

    class Counting(Here):
        name = "counting"
        asked = 0

        def listeners(self, port=0):
            self.asked += 1
            return super().listeners(port)

    host = Counting()
    port, other = free_port(), free_port()
    first = reason_of(lambda: tcp.connect(("127.0.0.1", port), host=host))
    assert (first.status, first.age_s) == ("found", 0)
    again = reason_of(lambda: tcp.connect(("127.0.0.1", port), host=host))
    assert (again.status, again.cause, host.asked) == ("found", first.cause, 1)
    assert 0 < again.age_s < 60
    assert re.match(r"reason \(as of \d+\.\d s ago\): nobody listens on ", str(again))
    reason_of(lambda: tcp.connect(("127.0.0.1", other), host=host))
    assert host.asked == 2
    monkeypatch.setattr(lookup, "INTERVAL_S", 0.0)
    assert reason_of(lambda: tcp.connect(("127.0.0.1", port), host=host)).age_s == 0
    assert host.asked == 3


def test_an_unknown_reason_is_repeated_as_unknown(patient_reasons, monkeypatch):
    monkeypatch.setattr(lookup, "INTERVAL_S", 60.0)

    class Broken(Here):
        name = "broken for a while"

        def listeners(self, port=0):
            raise OSError(1, "not permitted")

    host, port = Broken(), free_port()
    texts = [str(reason_of(lambda: tcp.connect(("127.0.0.1", port), host=host))) for _ in range(2)]
    assert texts[0] == "reason: unknown"
    assert re.fullmatch(r"reason: unknown \(as of \d+\.\d s ago\)", texts[1])


def connect_step_by_step(port):
    with tcp.Connection() as connection:
        connection.connect(("127.0.0.1", port))


@pytest.mark.parametrize(
    "fail",
    [
        lambda port: tcp.connect(("127.0.0.1", port)),
        connect_step_by_step,
        lambda port: unix.connect(f"unix:@wallsocket-none-{port}"),
    ],
)
def test_exceptions_show_the_usual_text(patient_reasons, fail):
    with pytest.raises(ConnectionRefusedError) as caught:
        fail(free_port())
    assert caught.value.args == (111, "Connection refused")
    assert repr(caught.value) == "ConnectionRefusedError(111, 'Connection refused')"
    assert str(caught.value) == "[Errno 111] Connection refused"


class SlowHost(Here):
    """A host whose facts take their time."""

    name = "slow"

    def __init__(self):
        self.gate = threading.Event()

    def listeners(self, port=0):
        self.gate.wait(60)
        return super().listeners(port)


def test_a_slow_source_of_facts_does_not_hold_the_error(monkeypatch):
    monkeypatch.delenv("WALLSOCKET_REASONS", raising=False)
    lookup._recent.clear()
    host = SlowHost()
    port = free_port()
    times = []
    errors = []
    try:
        for _ in range(20):
            lookup._recent.clear()
            start = time.thread_time(), time.monotonic()
            with pytest.raises(ConnectionRefusedError) as caught:
                tcp.connect(("127.0.0.1", port), host=host)
            times.append(time.monotonic() - start[1])
            errors.append(caught.value)
        assert all(reasons.of(error).status == "late" for error in errors)
        # The source would have taken 60 s; a loaded machine may take a while to wake a thread.
        assert min(times) < 0.1
    finally:
        host.gate.set()
    # The facts came after all: the note of the first error, which waited for them, is complete.
    assert reasons.settle(errors[0], 20).cause.name == "nobody_listens"
    assert any("nobody listens" in note for note in errors[0].__notes__)


class BusyHost(Here):
    """A host whose facts are worked out in Python for a second, with the interpreter's lock held."""

    name = "busy"

    def listeners(self, port=0):
        until = time.monotonic() + 1
        while time.monotonic() < until:
            pass
        return super().listeners(port)


def test_a_source_that_holds_the_interpreter_does_not_hold_the_error(monkeypatch):
    monkeypatch.delenv("WALLSOCKET_REASONS", raising=False)
    lookup._recent.clear()
    start = time.monotonic()
    with pytest.raises(ConnectionRefusedError) as caught:
        tcp.connect(("127.0.0.1", free_port()), host=BusyHost())
    took = time.monotonic() - start
    assert reasons.of(caught.value).status == "late"
    # The interpreter hands its lock over after 5 ms; a loaded machine after a while more.
    assert took < 0.7
    assert reasons.settle(caught.value, 20).cause.name == "nobody_listens"


def test_equal_errors_wait_for_the_same_lookup(monkeypatch):
    monkeypatch.delenv("WALLSOCKET_REASONS", raising=False)
    monkeypatch.setattr(lookup, "INTERVAL_S", 60.0)
    lookup._recent.clear()
    host, port, errors = SlowHost(), free_port(), []
    try:
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError) as caught:
                tcp.connect(("127.0.0.1", port), host=host)
            errors.append(caught.value)
        assert [reasons.of(error).status for error in errors] == ["late", "late"]
    finally:
        host.gate.set()
    assert [reasons.settle(error, 20).cause.name for error in errors] == ["nobody_listens"] * 2
    assert [reasons.of(error).age_s for error in errors] == [0, 0]


def in_time(fail, wanted, rounds=20):
    """Whether in some round `wanted` of 20 reasons came in time, while two others use the processors."""
    code = "print(flush=True)\nwhile True: pass"
    busy = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)]
    best = 0
    try:
        for process in busy:
            process.stdout.readline()
        for _ in range(rounds):
            found = 0
            for _ in range(20):
                lookup._recent.clear()
                with pytest.raises(OSError) as caught:  # the caller knows which
                    fail()
                found += reasons.of(caught.value).status == "found"
            best = max(best, found)
            if found >= wanted:
                break
    finally:
        for process in busy:
            process.kill()
            process.communicate()
    return best


def test_reasons_come_in_time_on_a_busy_machine(monkeypatch):
    monkeypatch.delenv("WALLSOCKET_REASONS", raising=False)
    port = free_port()
    assert in_time(lambda: tcp.connect(("127.0.0.1", port)), 15) >= 15


def test_an_event_loop_waits_less(monkeypatch):
    """Its other tasks stand still meanwhile."""
    monkeypatch.delenv("WALLSOCKET_REASONS", raising=False)
    asked = []
    tell = lookup._Lookup.tell
    monkeypatch.setattr(lookup._Lookup, "tell", lambda self, note, wait_s: (asked.append(wait_s), tell(self, note, 0)))
    port = free_port()

    async def connect():
        lookup._recent.clear()
        with pytest.raises(ConnectionRefusedError):
            await aio.tcp.connect(("127.0.0.1", port))

    anyio.run(connect)
    lookup._recent.clear()
    with pytest.raises(ConnectionRefusedError):
        tcp.connect(("127.0.0.1", port))
    assert asked == [lookup.LOOP_DEADLINE_S, lookup.DEADLINE_S]


def test_off(monkeypatch):
    monkeypatch.setenv("WALLSOCKET_REASONS", "off")
    with pytest.raises(ConnectionRefusedError) as caught:
        tcp.connect(("127.0.0.1", free_port()))
    assert reasons.of(caught.value) is None
    assert not getattr(caught.value, "__notes__", [])


def test_a_broken_source_is_unknown(patient_reasons):
    class Broken(Here):
        name = "broken"

        def listeners(self, port=0):
            raise OSError(1, "not permitted")

    assert reason_of(lambda: tcp.connect(("127.0.0.1", free_port()), host=Broken())).status == "unknown"


def test_secrets_in_arguments_stay_there(patient_reasons, tmp_path):
    script = tmp_path / "holder.py"
    script.write_text(
        "import socket, sys\ns = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\nsys.stdin.read()\n"
    )
    command = [sys.executable, str(script), "--password=topsecret"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        port = int(holder.stdout.readline())
        text = str(reason_of(lambda: tcp.listen(("127.0.0.1", port))))
        holder.stdin.close()
    assert f"holder.py (pid {holder.pid})" in text
    assert "topsecret" not in text


def test_after_fork_the_worker_is_made_anew(patient_reasons):
    port = free_port()
    assert reason_of(lambda: tcp.connect(("127.0.0.1", port))).status == "found"
    code = (
        "import os, sys\nfrom wallsocket import tcp, reasons\nfrom wallsocket.endpoints import reasons as lookup\n"
        "lookup.DEADLINE_S = 20\n"
        "def one():\n"
        "    lookup._recent.clear()\n"
        "    try: tcp.connect('127.0.0.1:1')\n"
        "    except OSError as error: return reasons.of(error).status\n"
        "assert one() == 'found'\n"
        "if os.fork() == 0: os._exit(0 if one() == 'found' else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=100).returncode == 0


# Exceptions of plain sockets


def test_explain_reads_the_failing_line():
    port = free_port()
    with socket.socket() as sock:
        with pytest.raises(ConnectionRefusedError) as caught:
            sock.connect(("127.0.0.1", port))
        assert f"nobody listens on 127.0.0.1:{port}" in str(reasons.explain(caught.value))
    with pytest.raises(ConnectionRefusedError) as caught:
        socket.create_connection(("127.0.0.1", port))
    assert f"nobody listens on 127.0.0.1:{port}" in str(reasons.explain(caught.value))


def test_explain_with_what_is_given():
    port = free_port()
    found = reasons.explain(ConnectionRefusedError(111, "refused"), address=("127.0.0.1", port))
    assert found.cause.name == "nobody_listens"
    assert reasons.explain(ConnectionRefusedError(111, "refused")).status == "unknown"
    assert reasons.explain(TimeoutError("timed out")).status == "unknown"


def test_explain_a_bind(listener):
    class Server:
        def __init__(self):
            self.sock = socket.socket()
            self.address = listener.local

        def start(self):
            self.sock.bind(self.address)

    server = Server()
    with server.sock, pytest.raises(OSError, match="in use") as caught:
        server.start()
    assert reasons.explain(caught.value).cause.name == "in_use"


def test_explain_runs_no_code_of_the_program():
    class Trap:
        touched = False

        @property
        def port(self):
            Trap.touched = True
            return 1

        def address(self):
            Trap.touched = True
            return ("127.0.0.1", 1)

    trap = Trap()
    with socket.socket() as sock, pytest.raises(OSError, match="refused") as caught:
        sock.connect(trap.address())
    Trap.touched = False
    seen = blame.blame(caught.value.__traceback__)
    assert (seen.call, seen.address, Trap.touched) == ("connect", None, False)
    with socket.socket() as sock, pytest.raises(OSError, match="refused") as caught:
        sock.connect(("127.0.0.1", trap.port))
    Trap.touched = False
    assert blame.blame(caught.value.__traceback__).address is None
    assert not Trap.touched


def test_explain_without_source():
    namespace = {"socket": socket, "port": free_port()}
    code = "s = socket.socket()\ntry:\n    s.connect(('127.0.0.1', port))\nfinally:\n    s.close()"
    with pytest.raises(ConnectionRefusedError) as caught:
        exec(code, namespace)
    assert reasons.explain(caught.value).status == "unknown"


def test_the_public_module():
    import doctest

    assert doctest.testmod(lookup).failed == 0
    assert pathlib.Path(reasons.__file__).name == "reasons.py"
    assert here.name == "here"
