"""What a shell can do with a command's standard streams: closed, full, without a reader; and Ctrl-C at every moment."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.support.recordings import lost_letter

WALLSOCKET = f"{sys.executable} -m wallsocket"

#: One of each way to print: click's, a text stream's, its bytes', none.
PRINTERS = ["--help", "--version", "rule list", "options", "doctor --json", "show a.wsrec", "show a.wsrec --json"]
PRINTERS += ["show a.wsrec --calls", "explain a.wsrec --fail-on never", "explain a.wsrec --json --fail-on never"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("streams")
    lost_letter(made / "a.wsrec").close()
    return made


def shell(line: str, folder: Path) -> tuple[int, str, str]:
    done = subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments", PRINTERS)
def test_standard_output_is_closed(arguments: str, folder: Path) -> None:
    assert shell(f"{WALLSOCKET} {arguments} >&-", folder) == (0, "", "")


@pytest.mark.parametrize("arguments", PRINTERS)
def test_standard_output_is_full(arguments: str, folder: Path) -> None:
    complaint = "wallsocket: standard output: No space left on device\n"
    assert shell(f"{WALLSOCKET} {arguments} >/dev/full", folder) == (2, "", complaint)


@pytest.mark.parametrize("arguments", PRINTERS)
def test_nobody_reads_standard_output(arguments: str, folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        words = [*WALLSOCKET.split(), *arguments.split()]
        done = subprocess.run(words, cwd=folder, stdout=pipe, stderr=subprocess.PIPE, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize(
    "arguments", ["doctor", "show a.wsrec", "show a.wsrec --calls", "explain a.wsrec --fail-on never"]
)
def test_colours_are_the_users_choice(arguments: str, folder: Path) -> None:
    words = [*WALLSOCKET.split(), *arguments.split()]
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}

    def coloured(**more: str) -> bool:
        done = subprocess.run(
            words, cwd=folder, env={**plain, **more}, capture_output=True, text=True, timeout=120, check=False
        )
        return "\x1b[" in done.stdout

    assert not coloured()
    assert coloured(FORCE_COLOR="1")
    assert not coloured(FORCE_COLOR="1", NO_COLOR="1")


@pytest.mark.parametrize("arguments", ["options", "options SO_RCVBUF SO_SNDBUF", "rule list", "lesson", "doctor"])
def test_lists_fit_a_narrow_terminal(arguments: str, folder: Path) -> None:
    mine, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"NO_COLOR": "1"}
    with subprocess.Popen([*WALLSOCKET.split(), *arguments.split()], cwd=folder, env=environment, stdout=its):
        os.close(its)
        printed = b""
        # EIO: the last of those who had the other end has closed it (pty(7)).
        with contextlib.suppress(OSError):
            while piece := os.read(mine, 65536):
                printed += piece
    os.close(mine)
    lines = printed.decode().splitlines()
    assert len(lines) > 5
    # What can be copied, such as a line that allows something, is not broken.
    assert [line for line in lines if len(line) > 80 and "sudo" not in line] == []


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_command_keeps_its_status_whatever_the_streams(streams: str, folder: Path) -> None:
    line = f"XDG_STATE_HOME=$PWD {WALLSOCKET} trace -- sh -c 'exit 7' {streams}"
    status, output, _ = shell(line, folder)
    assert (status, output) == (7, "")


def test_a_closed_stream_stays_closed_for_others(folder: Path) -> None:
    """No socket or file of ours gets the number of a closed stream, and a program that is started does not see ours."""
    program = (
        "import os, subprocess, sys\n"
        "from wallsocket.cli import streams\n"
        "streams.open_closed()\n"
        "assert os.open('/', os.O_RDONLY) > 2\n"
        "print(subprocess.run(['test', '-e', '/proc/self/fd/0']).returncode)\n"
    )
    done = subprocess.run(["sh", "-c", '"$0" -c "$1" <&-', sys.executable, program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


#: Writes into a file which of its streams are open, and what becomes of a write.
WHICH = """
import os, sys
found = []
for number in range(3):
    try:
        os.fstat(number)
        found.append(f"{number} open")
        os.write(number, b"x")
    except OSError as error:
        found.append(f"{number} {error.strerror}")
with open(sys.argv[1], "w") as file:
    file.write("\\n".join(found))
"""


@pytest.mark.parametrize("via", ["ptrace", "preload"])
@pytest.mark.parametrize("streams", ["<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_traced_program_finds_closed_what_its_caller_closed(streams: str, via: str, tmp_path: Path) -> None:
    (tmp_path / "which.py").write_text(WHICH)
    trace = f"{WALLSOCKET} trace -q --via {via} -o r.wsrec -- {sys.executable}"
    assert shell(f"{sys.executable} which.py alone {streams}", tmp_path)[0] == 0
    assert shell(f"{trace} which.py traced {streams}", tmp_path)[0] == 0
    assert (tmp_path / "traced").read_text() == (tmp_path / "alone").read_text()


def ctrl_c(arguments: list[str], after_s: float, environment: dict[str, str], said: bytes = b"") -> tuple[int, str]:
    """Run a command on a terminal of its own, press Ctrl-C after a time and once it has said something; its status and what
    it printed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until it is the command's
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        os.write(1, b"#")  # the terminal is ours
        os.execve(sys.executable, [sys.executable, "-m", "wallsocket", *arguments], environment)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    printed = os.read(terminal, 1)
    begun = time.monotonic()
    pressed = lost = False
    try:
        while time.monotonic() - begun < 60:
            if not pressed and time.monotonic() - begun >= after_s and said in printed:
                os.write(terminal, b"\x03")
                pressed = True
            left = 0.5 if pressed or said else after_s - (time.monotonic() - begun)
            if select.select([terminal], [], [], max(left, 0))[0]:
                try:
                    piece = os.read(terminal, 65536)
                except OSError:  # the other end is closed
                    break
                printed += piece
                if not lost and b"Exception ignored" in printed:
                    # Before any of our code ran, an import's callback of the interpreter lost it: a person presses again.
                    os.write(terminal, b"\x03")
                    lost = True
        else:
            os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"goes on after Ctrl-C at {after_s:.2f} s: {printed!r}")
    finally:
        os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), printed.decode(errors="replace")


@pytest.mark.parametrize(
    "arguments", [["trace", "--", "sleep", "600"], ["explain", "--", "sleep", "600"], ["udp", "listen", "127.0.0.1:0"]]
)
def test_ctrl_c_at_any_moment(arguments: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    for step in range(8):
        status, printed = ctrl_c(arguments, 0.01 + 0.04 * step, environment)
        silent = printed == "#^C" and status == -signal.SIGINT
        if silent or ("KeyboardInterrupt" in printed and "/wallsocket/" not in printed):
            continue  # the interpreter was still starting: nothing of ours runs yet
        assert "Traceback" not in printed, (step, printed)
        # explain has its own statuses; what it says then is the program's.
        assert status == 130 or (arguments[0] == "explain" and "the command ended with status 130" in printed), (
            status,
            printed,
        )
        assert "interrupted" in printed or "130" in printed, (step, printed)


@pytest.mark.parametrize("said", ["2  $ wallsocket explain", "wallsocket inspect :"])
def test_ctrl_c_ends_the_demo_and_its_programs_without_a_traceback(said: str, tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    status, printed = ctrl_c(["demo"], 0, environment, said.encode())
    assert (status, "Traceback" in printed) == (130, False), printed


def test_ctrl_c_in_a_callback_of_an_import_is_not_lost(tmp_path: Path) -> None:
    """The interpreter can only print an exception of a ``__del__`` or of a weak reference's callback."""
    program = (
        "import os, signal, sys\n"
        "class Dying:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        for _ in range(1000): pass\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'wallsocket.cli':\n"
        "            sys.meta_path.remove(self)\n"
        "            Dying()\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from wallsocket.__main__ import main\n"
        "sys.argv = ['wallsocket', 'trace', '--', 'sleep', '600']\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 130, done
    assert "interrupted" in done.stderr or "130" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_code_is_made_is_a_status_not_a_death(tmp_path: Path) -> None:
    """CPython remembers a KeyboardInterrupt that left an exec(), as a dataclass is made, and ends by a signal."""
    (tmp_path / "pressed.py").write_text(
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'wallsocket.cli':\n"
        "            exec('raise KeyboardInterrupt')\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from wallsocket.__main__ import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-m", "pressed"], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (130, "wallsocket: interrupted\n")


def test_what_was_lost_in_a_callback_does_not_count_as_heard() -> None:
    program = (
        "import os, signal, sys\n"
        "from wallsocket import __main__\n"
        "from wallsocket.cli import ending\n"
        "sys.unraisablehook = __main__._again\n"
        "class Dying:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        for _ in range(1000): pass\n"
        "with ending.in_order():\n"
        "    try:\n"
        "        Dying()\n"
        "        signal.pause()\n"
        "    except KeyboardInterrupt:\n"
        "        print('heard')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.stderr, done.returncode) == ("heard\n", "", 0)


def test_a_signal_before_the_command_is_started_reaches_it(tmp_path: Path) -> None:
    waits = "import signal\nprint(signal.sigtimedwait([signal.SIGINT], 60).si_signo, flush=True)"

    def with_one_waiting() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        os.kill(os.getpid(), signal.SIGINT)

    words = [*WALLSOCKET.split(), "trace", "-q", "-o", str(tmp_path / "a.wsrec"), "--", sys.executable, "-c", waits]
    done = subprocess.run(
        words,
        preexec_fn=with_one_waiting,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")
