"""The commands about frames, as a user runs them."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

from wallsocket.wire import TCP, UDP, Ethernet, IPv4
from wallsocket.wire.pcap import Writer, read


def run(*arguments: str, status: int = 0, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "wallsocket", *arguments], capture_output=True, text=True, timeout=60, **options
    )
    assert done.returncode == status, done
    assert "Traceback" not in done.stderr
    return done


def sample(path: Path) -> Path:
    ends = Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01")
    there, back = IPv4("10.0.0.1", "10.0.0.2"), IPv4("10.0.0.2", "10.0.0.1")
    frames = [
        ends / there / TCP(40000, 80, 100, 0, "S", options=[("mss", 1460)]),
        ends / back / TCP(80, 40000, 900, 101, "S."),
        ends / there / TCP(40000, 80, 101, 901, "."),
        ends / there / TCP(40000, 80, 101, 901, "P.") / b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        ends / there / UDP(5000, 9) / b"\x1b[31m",
    ]
    with Writer(path) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame, timestamp_ns=1_700_000_000_000_000_000 + number * 1000)
    return path


def test_capture_prints_a_file_as_tcpdump_does(tmp_path):
    done = run("capture", "-r", str(sample(tmp_path / "a.pcapng")), env={"TZ": "UTC", "PATH": "/usr/bin"})
    assert done.stdout.splitlines() == [
        "22:13:20.000000 IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [S], seq 100, win 65535, options [mss 1460], length 0",
        "22:13:20.000001 IP 10.0.0.2.80 > 10.0.0.1.40000: Flags [S.], seq 900, ack 1, win 65535, length 0",
        "22:13:20.000002 IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [.], ack 1, win 65535, length 0",
        "22:13:20.000003 IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [P.], seq 1:28, ack 1, win 65535, length 27: "
        "HTTP: GET / HTTP/1.1",
        "22:13:20.000004 IP 10.0.0.1.5000 > 10.0.0.2.9: UDP, length 5",
    ]


def test_lines_of_a_file_are_those_of_its_frames(tmp_path):
    ends = Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01")
    there, back = IPv4("10.0.0.1", "10.0.0.2"), IPv4("10.0.0.2", "10.0.0.1")
    path = tmp_path / "many.pcap"
    # A night in which clocks were put forward, at 01:00 UTC.
    with Writer(path) as writer:
        for number in range(9000):
            port = 1000 + number % 7
            frame = (
                ends / back / TCP(80, port, number * 7, number * 9, "P.") / bytes(number % 60)
                if number % 3
                else ends / there / TCP(port, 80, number * 9, number * 7, "S" if number < 20 else ".")
            )
            writer.write(frame, timestamp_ns=1_711_840_000_000_000_000 + number * 1_000_000_000)
    zone = {"TZ": "Europe/Berlin", "PATH": "/usr/bin"}
    plain = run("capture", "-r", str(path), env=zone).stdout.splitlines()
    verbose = [line for line in run("capture", "-r", str(path), "-v", env=zone).stdout.splitlines() if line[0] != " "]
    assert plain == verbose
    assert len(plain) == 9000
    assert (plain[0][:8], plain[-1][:8]) == ("00:06:40", "03:36:39")
    assert run("capture", "-r", str(path), "-c", "8999", env=zone).stdout.splitlines() == plain[:-1]
    some = run("capture", "-r", str(path), "-c", "5", "src", "10.0.0.2", env=zone).stdout.splitlines()
    assert [line.split()[2] for line in some] == ["10.0.0.2.80"] * 5


def test_capture_filters_counts_converts_and_speaks_json(tmp_path):
    path = sample(tmp_path / "a.pcapng")
    done = run("capture", "-r", str(path), "--json", "tcp", "port", "80")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [found["tcp"]["flags"] for found in objects] == ["S", "S.", ".", "P."]
    assert len(run("capture", "-r", str(path), "-c", "2").stdout.splitlines()) == 2
    target = tmp_path / "b.pcap.gz"
    done = run("capture", "-r", str(path), "-w", str(target), "udp")
    assert done.stderr == f"1 frames written to {target}\n"
    assert [frame.udp.destination_port for frame in read(target)] == [9]


def test_what_a_pcapng_file_holds_beside_frames_is_kept(tmp_path):
    path, target = tmp_path / "a.pcapng", tmp_path / "b.pcapng.gz"
    with Writer(path, comment="of the section") as writer:
        for number in range(3):
            writer.write(IPv4() / UDP(number, 9), timestamp_ns=number, comment="of the frame")
            writer.custom(32473, b"secret")
        writer._core.statistics(0, 5, 10, 1)
    done = run("capture", "-r", str(path), "-w", str(target), "udp", "src", "port", "1")
    assert done.stderr == f"1 frames written to {target}\n"
    copied = gzip.decompress(target.read_bytes())
    assert copied.count(b"secret") == 3
    assert copied.count(b"of the frame") == 1
    assert b"of the section" in copied
    assert [frame.udp.source_port for frame in read(target)] == [1]
    done = run("capture", "-r", str(path), "-w", str(path), status=2)
    assert f"{path} is the file that is read" in done.stderr
    assert len(list(read(path))) == 3
    assert "udp.destination_port 9" in run("capture", "-r", str(path), "-x", "udp").stdout


def test_bad_use_is_one_line(tmp_path):
    text = tmp_path / "text"
    text.write_text("no capture file")
    for arguments, expected in (
        (["capture", "-r", str(text)], "not a capture file"),
        (["capture", "-r", str(sample(tmp_path / "a.pcap")), "prt 80"], "syntax error"),
        (["capture", "-r", str(tmp_path / "missing")], "No such file"),
        (["capture", "-i", "nonexistent0"], "no interface 'nonexistent0'"),
        (["replay", str(text)], "nothing is sent unasked"),
        (["replay", str(text), "--dry-run"], "not a capture file"),
        (["inject", "-i", "lo", "IPv4("], "neither hexadecimal nor layers"),
        (["inject", "-i", "lo", "__import__('os')"], "neither hexadecimal nor layers"),
        (["ping", "no such name"], "no address for"),
        (["arp", "-i", "lo", "10.0.0.0/99"], "no IPv4 address or network"),
    ):
        done = run(*arguments, status=2)
        assert expected in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_cut_file_is_shown_with_what_was_lost(tmp_path):
    path = sample(tmp_path / "a.pcapng")
    path.write_bytes(path.read_bytes()[:-5])
    done = run("capture", "-r", str(path), status=1)
    assert len(done.stdout.splitlines()) == 4
    assert "the file ends within a record" in done.stderr
    target = tmp_path / "b.pcapng"
    done = run("capture", "-r", str(path), "-w", str(target), status=1)
    assert done.stderr.splitlines()[-1] == f"4 frames written to {target}"
    run("capture", "-r", str(target))
    run("capture", "-r", str(tmp_path / "missing"), status=2)


def test_a_damaged_gzip_file_is_cut_there(tmp_path):
    path = tmp_path / "a.pcap.gz"
    body = b"".join(bytes([number & 0xFF]) * 60 for number in range(3000))
    with Writer(path) as writer:
        for number in range(3000):
            writer.write(body[number * 60 : number * 60 + 60], timestamp_ns=number)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0x55
    path.write_bytes(damaged)
    done = run("capture", "-r", str(path), status=1)
    assert 0 < len(done.stdout.splitlines()) < 3000
    # What is damaged shows in the records, or where the compression notices.
    assert done.stderr.startswith(f"{path}: the ")
    assert "were of no use" in done.stderr


def test_inject_shows_what_it_would_send():
    done = run(
        "inject", "-i", "lo", "--dry-run",
        'Ethernet()/IPv4("10.0.0.1", "10.0.0.2")/UDP(1, range(53, 56))/"hello"',
    )  # fmt: skip
    assert done.stdout.splitlines() == [f"IP 10.0.0.1.1 > 10.0.0.2.{port}: UDP, length 5" for port in (53, 54, 55)]


def test_inject_shows_ip_packets_and_networks_of_addresses():
    done = run("inject", "-i", "lo", "--dry-run", 'IPv4("10.0.0.1", "10.0.0.0/30")/UDP(5000, 53)/"hello"')
    assert done.stdout.splitlines() == [f"IP 10.0.0.1.5000 > 10.0.0.{last}.53: UDP, length 5" for last in range(4)]


def test_replay_dry_run_reports_time_and_size(tmp_path):
    done = run("replay", str(sample(tmp_path / "a.pcap")), "--dry-run", "--json", "--map-ip", "10.0.0.1=10.9.9.9")
    found = json.loads(done.stdout)
    assert (found["frames"], found["skipped"]) == (5, 0)
    assert "not OLD=NEW" in run("replay", "x", "--dry-run", "--map-ip", "10.0.0.1", status=2).stderr


def test_ping_loopback_says_how_fast():
    done = run("ping", "127.0.0.1", "-c", "2", "-n", "10ms", "--json", status=0) if permitted() else None
    if done is None:
        assert "ping_group_range" in run("ping", "127.0.0.1", "-c", "1", status=2).stderr
        return
    *replies, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["reply"]["kind"] for reply in replies] == ["reply", "reply"]
    assert summary["summary"]["received"] == 2


def permitted() -> bool:
    """Whether this user may ping: the other half of the test is for those who may not."""
    import socket

    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).close()
        except PermissionError:
            continue
        return True
    return False


def conversation(path: Path) -> Path:
    """Two connections: a talk with a gap-free exchange, and one that is reset."""
    there, back = IPv4("10.0.0.1", "10.0.0.2"), IPv4("10.0.0.2", "10.0.0.1")
    frames = [
        there / TCP(40000, 80, 100, 0, "S"),
        back / TCP(80, 40000, 900, 101, "S."),
        there / TCP(40000, 80, 107, 901, "P.") / b"there\r\n",
        there / TCP(40000, 80, 101, 901, "P.") / b"hello ",
        back / TCP(80, 40000, 901, 114, "P.") / b"\x1b[31mwho?\n",
        there / TCP(40000, 80, 114, 910, "P.") / b"me\n",
        there / TCP(40000, 80, 114, 910, "P.") / b"me\n",
        there / TCP(40001, 80, 7, 0, "S"),
        back / TCP(80, 40001, 0, 8, "R."),
    ]
    with Writer(path) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame, timestamp_ns=1_700_000_000_000_000_000 + number * 1_000_000)
    return path


def test_connections_are_listed_and_followed(tmp_path):
    path = str(conversation(tmp_path / "a.pcapng"))
    assert run("capture", "-r", path, "--list").stdout.splitlines() == [
        "   1  10.0.0.1.40000 > 10.0.0.2.80: 16 bytes there, 10 back, 0.006 s, 1 sent again, open",
        "   2  10.0.0.1.40001 > 10.0.0.2.80: 0 bytes there, 0 back, 0.001 s, reset",
    ]
    first, second = map(json.loads, run("capture", "-r", path, "--list", "--json").stdout.splitlines())
    assert (first["client"]["bytes"], first["closed"], second["server"]["reset"]) == (16, False, True)
    assert run("capture", "-r", path, "--follow", "1").stdout.splitlines() == [
        "> hello there",
        "< \\x1b[31mwho?",
        "> me",
    ]
    said = [json.loads(line) for line in run("capture", "-r", path, "--follow", "1", "--json").stdout.splitlines()]
    assert [(each["from"], bytes.fromhex(each["data"])) for each in said] == [
        ("client", b"hello there\r\n"),
        ("server", b"\x1b[31mwho?\n"),
        ("client", b"me\n"),
    ]
    assert "has 2 TCP connections; there is no number 3" in run("capture", "-r", path, "--follow", "3", status=2).stderr
    assert "-r FILE" in run("capture", "--list", status=2).stderr
    assert "-C, -G and -W rotate" in run("capture", "-r", path, "-C", "1", status=2).stderr


def test_more_is_said_when_asked_for(tmp_path):
    path = str(sample(tmp_path / "a.pcapng"))
    plain, more, most, bytes_too = (
        run("capture", "-r", path, "-c", "1", *options).stdout.splitlines()
        for options in ([], ["-v"], ["-vv"], ["-vvv"])
    )
    assert len(plain) == 1
    assert more[0] == plain[0]
    assert more[1] == (
        "    58 bytes on the wire, 58 captured; 02:00:00:00:00:02 > 02:00:00:00:00:01; ttl 64, class 0x00, id 0; "
        "checksums: IP good, transport good"
    )
    assert most[:2] == more
    assert "    tcp.window 65535" in most
    assert any(line.startswith("    0000  02 00 00 00 00 01") for line in bytes_too)
