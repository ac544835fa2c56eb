"""Hosts and plain links: sockets, programs, names, addresses, routes, settings."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.lab.apart import Apart, wait_until
from wallsocket import lab
from wallsocket.errors import UsageError


def echo_once(server: socket.socket) -> threading.Thread:
    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(connection.recv(100).upper())

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_one_process_holds_sockets_of_two_hosts() -> None:
    with lab.hosts("a", "b") as (a, b), b.socket() as listener, a.socket() as client:
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        thread = echo_once(listener)
        client.connect((b.address, 80))
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO"
        assert client.getsockname()[0] == a.address
        thread.join()


def test_a_new_link_loses_not_even_the_first_datagram() -> None:
    for _ in range(5):
        with lab.hosts("a", "b") as (a, b):
            with b.socket(type=socket.SOCK_DGRAM) as receiver, a.socket(type=socket.SOCK_DGRAM) as sender:
                receiver.bind(("0.0.0.0", 9))
                receiver.settimeout(5)
                sender.sendto(b"first", (b.address, 9))
                assert receiver.recv(100) == b"first"


def test_hosts_are_apart_from_the_machine_and_from_each_other() -> None:
    with lab.hosts("a", "b") as (a, b), a.socket() as first, b.socket() as second:
        first.bind(("0.0.0.0", 8080))
        second.bind(("0.0.0.0", 8080))
        with socket.create_server(("127.0.0.1", 0)) as outside, a.socket() as inside:
            with pytest.raises(ConnectionRefusedError):
                inside.connect(outside.getsockname())


def test_a_non_blocking_socket_is_one() -> None:
    with lab.hosts("a", "b") as (a, _), a.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as made:
        assert made.getblocking() is False
        assert made.get_inheritable() is False
        with pytest.raises(BlockingIOError):
            made.recv(1)


def test_a_socket_the_kernel_does_not_have_is_its_own_error() -> None:
    with lab.hosts("a", "b") as (a, _):
        with pytest.raises(OSError) as caught:
            a.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_TCP)
        assert caught.value.errno == errno.EPROTONOSUPPORT


def test_programs_run_in_their_host_and_know_its_names() -> None:
    with lab.hosts("alpha", "beta") as (alpha, beta):
        done = alpha.run("getent ahostsv4 beta", capture_output=True, text=True)
        assert {line.split()[0] for line in done.stdout.splitlines()} == {beta.address}
        assert alpha.run("ping -c 1 -W 5 beta", stdout=subprocess.DEVNULL).returncode == 0


def test_a_host_added_later_is_known_to_programs_that_run() -> None:
    look = "while read name; do getent hosts $name; done"
    with lab.hosts("a", "b") as net:
        a = net["a"]
        with a.popen(look, shell=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            c = net.host("c")
            net.link(a, c)
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("c\n")
            process.stdin.flush()
            assert process.stdout.readline().split() == [c.address, "c"]
            process.stdin.close()


def test_a_program_has_the_callers_user_directory_and_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reader, writer = os.pipe()
    with lab.hosts("a", "b") as (a, _):
        text = f"id -u; pwd; echo through > /proc/self/fd/{writer}; ls /proc/self/fd | wc -l"
        done = a.run(text, shell=True, capture_output=True, text=True, pass_fds=(writer,))
        os.close(writer)
        with open(reader, "rb") as pipe:
            assert pipe.read() == b"through\n"
        # Standard streams, the passed one, and the directory that ls reads: no descriptor of the lab.
        assert done.stdout.split() == [str(os.getuid()), str(tmp_path), "5"]
        assert done.stderr == ""


def test_status_signal_and_output_are_those_of_subprocess() -> None:
    with lab.hosts("a", "b") as (a, _):
        assert a.run(["sh", "-c", "exit 7"]).returncode == 7
        assert a.run("cat", input=b"in and out", capture_output=True).stdout == b"in and out"
        with pytest.raises(subprocess.CalledProcessError, match="status 3"):
            a.run(["sh", "-c", "exit 3"], check=True)
        with a.popen("sleep 1000") as process:
            assert Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n"
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait() == -signal.SIGTERM
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            a.run("echo early; exec sleep 1000", shell=True, capture_output=True, timeout=0.5)
        assert caught.value.stdout == b"early\n"


def test_a_program_sees_the_usual_signal_dispositions() -> None:
    with lab.hosts("a", "b") as (a, _):
        command = ["grep", "-E", "SigIgn|SigBlk", "/proc/self/status"]
        done = a.run(command, capture_output=True, text=True)
        # Usual is what a child of this process has: make, for one, starts its jobs with a signal ignored.
        usual = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == usual.stdout


@pytest.mark.parametrize("command", [["/no/such/program"], ["no-such-program-anywhere"], "no-such-program-anywhere -x"])
def test_a_program_that_does_not_exist_raises_what_subprocess_raises(
    command: list[str] | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A directory on the path that may not be read makes this another error, in a host as outside.
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with lab.hosts("a", "b") as (a, _):
        with pytest.raises(FileNotFoundError, match="such-program|no/such"):
            a.run(command)
        with pytest.raises(PermissionError):
            a.run(["/etc/hosts"])
        with pytest.raises(UsageError):
            a.run([])


def test_a_program_without_capabilities_cannot_change_its_host() -> None:
    with lab.hosts("a", "b") as (a, _):
        change = "ip link set eth0 down"
        if os.geteuid() != 0:
            assert a.run(change, capabilities=False, stderr=subprocess.DEVNULL).returncode != 0
        assert a.run(change).returncode == 0


def test_programs_see_only_the_processes_of_their_lab() -> None:
    with lab.hosts("a", "b") as (a, b), b.popen("sleep 1000") as process:
        listed = a.run(["ps", "-e", "-o", "comm="], capture_output=True, text=True).stdout.split()
        assert listed == ["wallsocket-hold", "sleep", "ps"] or listed == ["holder", "sleep", "ps"]
        process.kill()


def test_a_shell_is_the_users_own_in_the_host(apart: Apart) -> None:
    program = "from wallsocket import lab\nwith lab.hosts('a', 'b') as (a, b): print(a.shell(), flush=True)"
    process = apart.start(
        f"import os; os.environ['SHELL'] = '/bin/sh'\n{program}", stdin=subprocess.PIPE, start_new_session=True
    )
    output, _ = process.communicate("echo in $WALLSOCKET_HOST; getent hosts b; exit 3\n", timeout=60)
    assert output.splitlines() == ["in a", "10.0.1.2        b", "3"]


def test_a_host_routes_the_same_on_every_machine() -> None:
    """Nothing of the machine's rp_filter and ip_forward, which new networks copy; many machines set them."""
    with lab.hosts("a", "b") as (a, _b):
        interfaces = ["all", "default", "lo", a.interfaces[0].name]
        assert [a.sysctl(f"net/ipv4/conf/{interface}/rp_filter") for interface in interfaces] == ["0"] * 4
        assert a.sysctl("net.ipv4.ip_forward") == "0"


def test_sysctls_are_of_the_host_alone() -> None:
    machine = Path("/proc/sys/net/ipv4/tcp_retries2").read_text()
    with lab.hosts("a", "b") as (a, b):
        a.sysctl("net.ipv4.tcp_retries2", 3)
        assert a.sysctl("net/ipv4/tcp_retries2") == "3"
        assert b.sysctl("net.ipv4.tcp_retries2") != "3"
        assert a.sysctl("net.ipv4.no_such") is None
        for name in ("net.ipv4.no_such", "kernel.hostname", "net/ipv4/../../kernel/hostname"):
            with pytest.raises(OSError, match="find the sysctl|set net") as caught:
                a.sysctl(name, 1)
            assert caught.value.errno == errno.ENOENT
        with pytest.raises(OSError):
            a.sysctl("net.ipv4.tcp_retries2", "many")
    assert Path("/proc/sys/net/ipv4/tcp_retries2").read_text() == machine


def test_congestion_control_is_the_labs_own_choice() -> None:
    with lab.hosts("a", "b") as (a, _), a.socket() as made:
        name = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")
        assert name in (b"cubic", b"reno")


def test_nft_rules_hold_and_wrong_ones_are_explained() -> None:
    with lab.hosts("a", "b") as (a, b), b.socket() as listener, a.socket() as client:
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        b.nft("table inet f { chain in { type filter hook input priority 0; tcp dport 80 reject with tcp reset; }; }")
        with pytest.raises(ConnectionRefusedError):
            client.connect((b.address, 80))
        with pytest.raises(UsageError, match="syntax error"):
            b.nft("table inet f { nonsense }")


def test_addresses_and_routes_by_method() -> None:
    with lab.hosts("a", "b") as (a, b):
        b.add_address("eth0", "192.0.2.1/32")
        with a.socket(type=socket.SOCK_DGRAM) as sender:
            with pytest.raises(OSError) as caught:
                sender.connect(("192.0.2.1", 9))
            assert caught.value.errno == errno.ENETUNREACH
            a.add_route("192.0.2.0/24", via=b)
            sender.connect(("192.0.2.1", 9))
            a.remove_route("192.0.2.0/24", via=b)
            a.add_route("192.0.2.0/24", kind="prohibit")
            with pytest.raises(PermissionError):
                sender.connect(("192.0.2.1", 9))
        b.remove_address("eth0", "192.0.2.1/32")
        assert "192.0.2.1" not in b.run("ip addr", capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda a, b: a.add_address("eth0", "10.0.0.300/24"), "10.0.0.300/24"),
        (lambda a, b: a.add_address("eth0", "10.9.0.1"), "prefix length is missing"),
        (lambda a, b: a.add_address("eth7", "10.9.0.1/24"), "no interface 'eth7'.*it has: eth0"),
        (lambda a, b: a.add_address("eth0", f"{a.address}/24"), "already"),
        (lambda a, b: a.remove_address("eth0", "10.9.0.1/24"), "does not have"),
        (lambda a, b: a.add_route("10.9.0.0/8", via=b), "host bits set"),
        (lambda a, b: a.add_route("10.9.0.0/16", via="::1"), "other IP version"),
        (lambda a, b: a.add_route("10.9.0.0/16"), "give via= or interface="),
        (lambda a, b: a.add_route("10.9.0.0/16", via=b, kind="sideways"), "blackhole"),
        (lambda a, b: a.lab.host("a"), "is taken"),
        (lambda a, b: a.lab.host("x_y"), "cannot be a host name"),
        (lambda a, b: a.lab.host(""), "cannot be a host name"),
        (lambda a, b: a.lab["c"], "no host 'c'.*there are: a, b"),
        (lambda a, b: a.lab.link(a, a), "linked to itself"),
        (lambda a, b: a.lab.link(a, b, subnet="10.0.1.0/28"), "overlaps"),
        (lambda a, b: a.lab.link(a, b, subnet="10.77.0.0/32"), "too small"),
        (lambda a, b: a.lab.link(a, b, subnet="10.77.0.1/24"), "host bits"),
        (lambda a, b: a.lab.link(a, b, mtu=67), "MTU of 67"),
        (lambda a, b: a.lab.link_between("a", "c"), "no link a-c.*there are: a-b"),
    ],
)
def test_what_cannot_be_is_said_clearly_and_changes_nothing(wrong: object, text: str) -> None:
    with lab.hosts("a", "b") as net:
        a, b = net
        before = a.run("ip addr; ip route", shell=True, capture_output=True).stdout
        with pytest.raises(UsageError, match=text):
            wrong(a, b)  # type: ignore[operator]
        assert a.run("ip addr; ip route", shell=True, capture_output=True).stdout == before
        assert [host.name for host in net] == ["a", "b"]


def test_the_kernels_sentence_is_in_the_error() -> None:
    with lab.hosts("a", "b") as (a, _), pytest.raises(OSError, match=r"add route 192\.0\.2\.0/24 via 172\.16\.0\.1"):
        a.add_route("192.0.2.0/24", via="172.16.0.1")


def test_a_duplicate_name_leaves_nothing_behind(apart: Apart) -> None:
    program = (
        "from wallsocket import lab, errors\n"
        "try: lab.hosts('a', 'a')\n"
        "except errors.UsageError as error: print(error)\n"
        "import sys; sys.stdout.flush(); sys.stdin.read()"
    )
    process = apart.start(program, stdin=subprocess.PIPE)
    assert process.stdout.readline() == "the name 'a' is taken\n"
    wait_until(lambda: len(apart.left()) == 1, "only the program itself is left")


def test_a_closed_lab_says_so() -> None:
    with lab.hosts("a", "b") as (a, _):
        pass
    with pytest.raises(OSError, match="the lab is closed"):
        a.socket()
    with pytest.raises(OSError, match="the lab is closed"):
        a.run("true")


def test_threads_may_use_one_lab() -> None:
    with lab.hosts("a", "b") as (a, b):
        failures: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(20):
                    a.socket().close()
                    b.socket(type=socket.SOCK_DGRAM).close()
                assert a.run("true").returncode == 0
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


def test_a_hundred_hosts_are_quick() -> None:
    start = time.monotonic()
    with lab.Lab() as net:
        hosts = net._add_hosts([f"h{number}" for number in range(100)])
        assert len(hosts) == len(net) == 100
    # The goal for a whole switch of them is a second; this only catches a mistake of an order of magnitude.
    assert time.monotonic() - start < 10
