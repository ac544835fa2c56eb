"""The stack of a blocked thread is, frame by frame, what the program itself says: file, line and function."""

from __future__ import annotations

import os
import subprocess
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.stacks.programs import HERE, Program, Start, eventually, find, places, told
from wallsocket import _core
from wallsocket.errors import NotAvailable, NotPermitted

python = _core.python

SHAPES = '''
import contextlib, functools, oracle, socket, sys, threading, types

class Shapes:
    """Each method blocks in recv, in its own way."""

    def plain(self, s):
        def inner():
            def innermost():
                return s.recv(1)
            return innermost()
        return inner()

    def many_lines(self, s):
        return (
            s
            .recv(
                1
                + 1,
            )
        )

    def arguments_on_lines(self, s):
        print(
            "a",
            s.recv(1),
            "b",
        )

    def list_comprehension(self, s):
        return [s.recv(1) for _ in range(3)]

    def nested_comprehension(self, s):
        return {
            a: [
                s.recv(b)
                for b in (1, 2)
            ]
            for a in (1, 2)
        }

    def anonymous(self, s):
        return (lambda: (lambda: s.recv(1))())()

    def generator(self, s):
        def numbers():
            yield 1
            yield s.recv(1)
        return list(numbers())

    def delegating_generator(self, s):
        def low():
            yield s.recv(1)
        def high():
            yield from low()
        for _ in high():
            pass

    def generator_expression(self, s):
        return sum(len(s.recv(n)) for n in (1, 2))

    def coroutine(self, s):
        async def low():
            return s.recv(1)
        async def high():
            return await low()
        high().send(None)

    def decorated(self, s):
        def decorate(function):
            @functools.wraps(function)
            def wrapper(*args):
                return function(*args)
            return wrapper
        @decorate
        @functools.lru_cache
        @decorate
        def receive(n):
            return s.recv(n)
        receive(1)

    def through_c(self, s):
        return sorted([3, 1], key=lambda n: functools.reduce(lambda a, b: s.recv(1), map(lambda x: x, [1, 2])))

    def manager(self, s):
        @contextlib.contextmanager
        def managed():
            yield
            s.recv(1)
        with managed():
            pass

    def handler(self, s):
        try:
            raise ValueError
        except ValueError:
            try:
                pass
            finally:
                s.recv(1)

    def executed(self, s):
        exec("\\n\\ndef f():\\n    s.recv(1)\\n\\nf()", {"s": s})

    def compiled_with_a_name(self, s):
        code = compile("\\n" * 500 + "s.recv(1)", "/nowhere/<generated> file", "exec")
        eval(code, {"s": s})

    def long_jumps_in_lines(self, s):
        source = "def f():\\n" + "    x = 1\\n" * 3000 + "    if x:\\n        y = [\\n" + "1,\\n" * 2000
        source += "s.recv(1)]\\nf()"
        exec(compile(source, "long", "exec"), {"s": s})

    def class_body(self, s):
        class Body:
            field = s.recv(1)

    def protocol_method(self, s):
        class Item:
            def __getitem__(self, key):
                return s.recv(1)
            def __getattr__(self, name):
                return self[name]
            def __eq__(self, other):
                return self.anything
        return Item() in [Item()]

    def standard_library(self, s):
        s.makefile("rb").readline()

    def recursion(self, s, depth=600):
        if depth:
            return self.recursion(s, depth - 1)
        return s.recv(1)

    def größe_日本(self, s):
        def ñ():
            return s.recv(1)
        return ñ()

    def traced(self, s):
        sys.settrace(lambda *_: None)
        def receive():
            return s.recv(1)
        return receive()

pairs, threads = [], []
threading.stack_size(16 << 20)
for name, function in vars(Shapes).items():
    if isinstance(function, types.FunctionType):
        pairs.append(socket.socketpair())
        threads.append(threading.Thread(target=function, args=(Shapes(), pairs[-1][0]), name=name, daemon=True))
        threads[-1].start()
oracle.until_asleep(*threads)
oracle.start(shapes=[thread.name for thread in threads])
pair = socket.socketpair()
pair[0].recv(
    1)
'''


def blocked(program: Program, tid: int) -> bool:
    """Whether the thread sleeps in a call that is not about a lock."""
    call = Path(f"/proc/{program.pid}/task/{tid}/syscall").read_text().split()[0]
    return call not in ("running", "202", "98")


def compare(program: Program, *, but: tuple[int, ...] = ()) -> dict[str, Any]:
    """Compares every thread with what the program says, and returns the answer."""
    eventually(lambda: blocked(program, program.main), "the main thread blocks")
    answer = program.answer()
    assert answer["threads"]
    wrong = {}
    for tid, thread in answer["threads"].items():
        stack = python.frames(program.pid, int(tid))
        assert stack is not None
        if not stack.waiting or places(stack.frames) != told(thread["frames"]):
            wrong[thread["name"]] = (places(stack.frames)[:4], thread["frames"][:4])
    assert not wrong
    native_ids = {thread.native_id for thread in python.threads(program.pid)}
    assert native_ids == {*map(int, answer["threads"]), answer["own"]}
    return answer


def test_every_shape_of_call(interpreter: str, start: Start) -> None:
    program = start(interpreter, SHAPES)
    answer = compare(program)
    names = {thread["name"] for thread in answer["threads"].values()}
    assert names == {"MainThread", *program.facts["shapes"]}
    description = python.describe(program.pid)
    version = subprocess.run([interpreter, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    assert description.version == version
    # The expected lines are in the text above: the reader and the oracle cannot be wrong together.
    stack = python.frames(program.pid, program.main)
    text = Path(stack.frames[0].file).read_text().splitlines()
    assert text[stack.frames[0].line - 1] == "pair[0].recv("
    assert (stack.top, stack.place) == (stack.frames[0], "user")


def test_the_users_line_is_told_from_the_librarys(interpreter: str, start: Start) -> None:
    program = start(interpreter, SHAPES)
    threads = {thread["name"]: int(tid) for tid, thread in program.answer()["threads"].items()}
    stack = python.frames(program.pid, threads["standard_library"])
    assert (stack.top.function, stack.place) == ("Shapes.standard_library", "user")
    assert [frame.place for frame in stack.frames[:2]] == ["library", "user"]
    assert stack.frames[0].function == "SocketIO.readinto"
    kinds = {
        frame.function.rpartition(".")[2]: frame.kind
        for frame in python.frames(program.pid, threads["coroutine"]).frames
    }
    assert (kinds["low"], kinds["high"], kinds["coroutine"]) == ("coroutine", "coroutine", "function")
    generator = python.frames(program.pid, threads["generator"]).frames[0]
    assert (generator.kind, generator.function) == ("generator", "Shapes.generator.<locals>.numbers")


def test_a_stack_of_library_frames_only_is_the_librarys(interpreter: str, start: Start) -> None:
    source = """
    import oracle, socketserver, threading
    thread = threading.Thread(target=socketserver.TCPServer(("127.0.0.1", 0), None).serve_forever, daemon=True)
    thread.start()
    oracle.until_asleep(thread)
    oracle.start(thread=thread.native_id)
    threading.Event().wait()
    """
    program = start(interpreter, textwrap.dedent(source))
    stack = python.frames(program.pid, program.facts["thread"])
    assert (stack.place, stack.top) == ("library", stack.frames[0])
    assert stack.top.file.endswith("/selectors.py")


@pytest.mark.parametrize("name", ["sörver 日本 🦀.py", b"caf\xe9.py", "a'b\"c.py"], ids=["unicode", "bytes", "quotes"])
def test_file_names(interpreter: str, start: Start, name: str | bytes) -> None:
    program = start(
        interpreter, "import oracle, socket\noracle.start()\npair = socket.socketpair()\npair[0].recv(1)\n", name=name
    )
    compare(program)
    written = os.fsdecode(name).encode("utf-8", "backslashreplace").decode()
    assert python.frames(program.pid, program.main).frames[0].file.endswith(written)


BLOCK = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
import oracle, socket

pair = socket.socketpair()

def block():
    pair[0].recv(1)

oracle.start()
block()
"""


def test_started_in_other_ways(interpreter: str, start: Start, tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(BLOCK)
    (tmp_path / "module.py").write_text(BLOCK)
    (tmp_path / "isolated.py").write_text(BLOCK)
    with zipfile.ZipFile(tmp_path / "app.pyz", "w") as archive:
        archive.writestr("__main__.py", BLOCK)
    ways: dict[str, tuple[list[str], str]] = {
        "-c": (["-c", BLOCK], "<string>"),
        "-m module": (["-m", "module"], str(tmp_path / "module.py")),
        "-m package": (["-m", "package"], str(package / "__main__.py")),
        "directory": ([str(package)], str(package / "__main__.py")),
        "zip application": ([str(tmp_path / "app.pyz")], str(tmp_path / "app.pyz" / Path("__main__.py"))),
        "isolated": (["-I", "-S", "-E", str(tmp_path / "isolated.py")], str(tmp_path / "isolated.py")),
        "optimised": (["-OO", "-X", "no_debug_ranges", str(tmp_path / "isolated.py")], str(tmp_path / "isolated.py")),
    }
    for way, (arguments, file) in ways.items():
        program = start.command([interpreter, *arguments], cwd=tmp_path)  # type: ignore[attr-defined]
        compare(program)
        stack = python.frames(program.pid, program.main)
        assert (stack.place, stack.top.file, stack.top.line) == ("user", file, 9), way


def test_a_forked_child(interpreter: str, start: Start) -> None:
    source = """
    import json, os, socket, threading
    left, right = socket.socketpair()
    gate, pen = os.pipe()
    def child():
        os.write(pen, b"x")
        right.recv(1)
    threading.Thread(target=left.recv, args=(1,), daemon=True).start()
    pid = os.fork()
    if pid == 0:
        child()
    os.read(gate, 1)
    print(json.dumps({"pid": os.getpid(), "main": threading.get_native_id(), "child": pid}), flush=True)
    try:
        input()
    finally:
        os.kill(pid, 9)
    """
    program = start(interpreter, textwrap.dedent(source))
    child = program.facts["child"]
    syscall = Path(f"/proc/{child}/syscall")
    eventually(lambda: syscall.read_text().split()[0] not in ("running", "202", "98"), "the child blocks")
    stack = python.frames(child, child)
    assert [frame.function for frame in stack.frames] == ["child", "<module>"]
    assert [frame.line for frame in stack.frames] == [8, 12]
    program.process.communicate("\n", timeout=30)


def test_the_holder_of_the_interpreters_lock(interpreter: str, start: Start) -> None:
    source = """
    import oracle, threading
    stop = []
    def spin():
        while not stop:
            pass
    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    oracle.start(spinning=thread.native_id)
    threading.Event().wait()
    """
    program = start(interpreter, textwrap.dedent(source))

    def holders() -> list[int]:
        return [thread.native_id for thread in python.threads(program.pid) if thread.holds_gil]

    eventually(lambda: holders() == [program.facts["spinning"]], "the thread that spins holds the lock")


def test_a_thread_in_another_interpreter(interpreter: str, start: Start) -> None:
    source = """
    import json, os, threading
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    reader, writer = os.pipe()
    facts = json.dumps({"pid": os.getpid(), "main": threading.get_native_id()})
    code = f"import os\\nprint({facts!r}, flush=True)\\n\\ndef inside():\\n    os.read({reader}, 1)\\ninside()"
    interpreters.run_string(interpreters.create(), code)
    """
    program = start(interpreter, textwrap.dedent(source))
    eventually(lambda: blocked(program, program.main), "the main thread blocks")
    stack = python.frames(program.pid, program.main)
    assert [(frame.function, frame.line) for frame in stack.frames[:2]] == [("inside", 5), ("<module>", 6)]
    assert {thread.interpreter for thread in python.threads(program.pid)} == {0, 1}


def test_a_thread_that_never_ran_python(interpreter: str, start: Start) -> None:
    source = """
    import ctypes, oracle, os
    libc = ctypes.CDLL(None)
    thread = ctypes.c_ulong()
    before = set(os.listdir("/proc/self/task"))
    assert libc.pthread_create(ctypes.byref(thread), None, libc.pause, None) == 0
    [native] = set(os.listdir("/proc/self/task")) - before
    oracle.start(native=int(native))
    libc.pause()
    """
    program = start(interpreter, textwrap.dedent(source))
    with pytest.raises(NotAvailable, match=f"thread {program.facts['native']} has no Python state"):
        python.frames(program.pid, program.facts["native"])


def test_an_interpreter_whose_file_is_gone(start: Start, tmp_path: Path) -> None:
    interpreter = os.path.realpath("/usr/bin/python3")
    if not os.path.exists(interpreter) or os.path.basename(interpreter) not in (
        "python3.11",
        "python3.12",
        "python3.13",
    ):
        pytest.skip("no supported system Python to copy")
    copy = tmp_path / "my-own-name"
    copy.write_bytes(Path(interpreter).read_bytes())
    copy.chmod(0o755)
    program = start(str(copy), "import oracle, socket\noracle.start()\npair = socket.socketpair()\npair[0].recv(1)\n")
    copy.unlink()
    compare(program)


def test_a_program_without_python() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        assert python.describe(process.pid) is None
        assert python.frames(process.pid, process.pid) is None
        assert python.threads(process.pid) == []
        assert python.tasks(process.pid) == []


def test_an_older_version_is_named_and_refused(start: Start) -> None:
    interpreter = find("3.10") or find("3.9")
    if interpreter is None:
        pytest.skip("no CPython before 3.11 is installed here")
    with subprocess.Popen([interpreter, "-c", "print(1, flush=True); input()"], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(NotAvailable, match=r"CPython 3\.(10|9) is not supported"):
            python.describe(process.pid)
        process.kill()


def test_what_is_not_there_and_what_is_not_ours() -> None:
    with pytest.raises(ProcessLookupError):
        python.describe(2**22 + 1)
    with pytest.raises(ProcessLookupError):
        python.frames(os.getpid(), 2**22 + 1)
    if os.geteuid() != 0:
        with pytest.raises(NotPermitted, match="no permission"):
            python.describe(1)
