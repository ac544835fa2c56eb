"""Files that are wrong in every way: one line with the file, the place in it and what is right; nothing stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wallsocket.errors import UsageError
from wallsocket.lab import scenario

HOSTS = "[hosts.a]\n[hosts.b]\n"
LINK = HOSTS + '[[links]]\nbetween = ["a", "b"]\n'

WRONG_BY_TYPE = [
    ("", "the file has no hosts: begin with a table [hosts.NAME]"),
    ("hosts = 3", "the file: hosts is not a table"),
    ("[hosts]\na = 3", "[hosts.a] is not a table"),
    (
        "sed = 7\n" + HOSTS,
        "the file knows no 'sed' (it knows: hosts, ipv6, links, nat, offloads, publish, seed, switches)",
    ),
    ("seed = true\n" + HOSTS, "the file: seed is not a whole number"),
    ("seed = 1.5\n" + HOSTS, "the file: seed is not a whole number"),
    ("seed = 99999999999999999999\n" + HOSTS, "the file: seed is no number that fits into 64 bits"),
    ("links = 3\n" + HOSTS, "the file: links is not a list"),
    ("links = [3]\n" + HOSTS, "entry 1 of [[links]] is not a table"),
    ("[hosts.a]\nforward = 1", "[hosts.a]: forward is not true or false"),
    ("[hosts.a]\nrun = ['x']", "[hosts.a]: run is not a text"),
    ("[hosts.a]\naddresses = {eth0 = 7}", "[hosts.a] addresses: 'eth0' is not an address such as \"192.0.2.1/24\""),
    ("[hosts.a]\naddresses = {eth0 = [[]]}", "[hosts.a] addresses: 'eth0' is not an address such as \"192.0.2.1/24\""),
    ("[hosts.a]\nroutes = {default = 7}", "[hosts.a] routes: 'default' is not the name or address of a router"),
    ('[hosts.a]\nsysctl = {"net.x" = []}', "[hosts.a] sysctl: 'net.x' is not a text or a number"),
    (HOSTS + "[[links]]\n", 'entry 1 of [[links]]: give its two ends, between = ["a", "b"]'),
    (LINK + "loss = []", 'entry 1 of [[links]]: loss is not a number, or a text with its unit such as "50ms" or "5%"'),
    (LINK + "loss = nan", "entry 1 of [[links]]: loss is no number that fits into 64 bits"),
    (LINK + "loss = inf", "entry 1 of [[links]]: loss is no number that fits into 64 bits"),
    (LINK + "mtu = '1500'", "entry 1 of [[links]]: mtu is not a whole number"),
    (LINK + "queue = 1.5", "entry 1 of [[links]]: queue is not a whole number"),
    (
        LINK + "delay = 2024-01-01",
        'entry 1 of [[links]]: delay is not a number, or a text with its unit such as "50ms" or "5%"',
    ),
    (LINK + "refuse = {}", "entry 1 of [[links]]: refuse is not a whole number"),
    (
        HOSTS + "[[switches]]\nname = 's'\nhosts = [1]",
        'entry 1 of [[switches]]: give name = "NAME" and hosts = ["a", "b"]',
    ),
    (HOSTS + "[[nat]]\ninside = 'a'", "entry 1 of [[nat]]: give inside and behind, two hosts"),
    ("publish = [80]\n" + HOSTS, 'entry 1 of publish is not a text such as "8080:server:80"'),
]


@pytest.mark.parametrize(("text", "expected"), WRONG_BY_TYPE)
def test_a_wrong_type(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "net.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        scenario.load(file)
    assert str(raised.value) == f"{file}: {expected}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff", "is not UTF-8 text (at byte 0)"),
        (b"x = " + b"[" * 100_000, "is nested too deeply"),
        (b"x = " + b"9" * 10_000, "a number has too many digits"),
        (b"x = ", "Invalid value (at end of document)"),
        (b"#" * (1 << 20) + b"#", "is larger than 1 MiB"),
    ],
    ids=["bytes", "nested", "digits", "cut", "large"],
)
def test_no_toml(content: bytes, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "net.toml"
    file.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        scenario.load(file)
    assert str(raised.value).startswith(f"{file}: {expected}")
    assert len(str(raised.value)) < 500


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, expected in (
        ("/dev/zero", "is not a regular file"),
        (tmp_path / "pipe", "is not a regular file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file or directory"),
    ):
        with pytest.raises(UsageError) as raised:
            scenario.load(path)
        assert str(raised.value) == f"{path}: {expected}"


WRONG_WHEN_BUILT = [
    ('["a", "c"]', "", "entry 1 of [[links]]: there is no host"),
    ('["a", "a"]', "", "entry 1 of [[links]]: "),
    ('["a", "b"]', 'loss = "120%"', "entry 1 of [[links]]: loss '120%' is not between 0 and 1"),
    ('["a", "b"]', 'delay = "soon"', "entry 1 of [[links]]: delay 'soon' is not understood; write it like 50ms or 2s"),
    ('["a", "b"]', 'subnet = "x"', "entry 1 of [[links]]: "),
    ('["a", "b"]', "mtu = 9000000", "entry 1 of [[links]]: "),
    ('["a", "b"]', f'rate = "{"9" * 5000}mbit"', "entry 1 of [[links]]: rate is a number of more than 40 digits"),
    ('["a", "b"]', "refuse = 99999999999", "entry 1 of [[links]]: first takes less than 2,147,483,648"),
    ('["a", "b"]', 'toward = "z"', "entry 1 of [[links]]: "),
]


@pytest.mark.parametrize(("ends", "more", "expected"), WRONG_WHEN_BUILT)
def test_wrong_when_it_is_built(ends: str, more: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "net.toml"
    file.write_text(f"{HOSTS}[[links]]\nbetween = {ends}\n{more}\n")
    command = [sys.executable, "-m", "wallsocket", "lab", "up", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"wallsocket: {file}: {expected}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("kernel.hostname", "x", "[hosts.a] sysctl 'kernel.hostname': "),
        ("net/../kernel/hostname", "x", "[hosts.a] sysctl 'net/../kernel/hostname': "),
        (
            "net.netfilter.nf_hooks_lwtunnel",
            "1",
            "[hosts.a] sysctl 'net.netfilter.nf_hooks_lwtunnel': net.netfilter.nf_hooks_lwtunnel is one setting for all",
        ),
        ("net.ipv4.no_such", "1", "[hosts.a] sysctl 'net.ipv4.no_such': "),
        ("net.ipv4.ip_forward", "many", "[hosts.a] sysctl 'net.ipv4.ip_forward': "),
    ],
)
def test_a_setting_that_is_not_a_hosts_own(key: str, value: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "net.toml"
    file.write_text(f'[hosts.a.sysctl]\n"{key}" = "{value}"\n')
    before = Path("/proc/sys/kernel/hostname").read_text()
    with pytest.raises(UsageError) as raised:
        scenario.load(file)
    assert str(raised.value).startswith(f"{file}: {expected}")
    assert Path("/proc/sys/kernel/hostname").read_text() == before
