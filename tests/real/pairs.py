"""The real programs, each as an ordinary user runs it: own folder, own configuration, a free port."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.real.harness import Pair

PROGRAMS = Path(__file__).parent / "programs"

#: Larger than any socket buffer: several segments, several reads and writes.
BODY = bytes(number * 7 & 0xFF for number in range(300_000))


def _with_body(folder: Path, port: int) -> None:
    (folder / "body.bin").write_bytes(BODY)
    (folder / "small.txt").write_text("a small file\n")


def _curl(folder: Path, port: int) -> list[str]:
    address = f"http://127.0.0.1:{port}"
    # Two bodies over one connection, and an error page.
    return ["curl", "-sS", f"{address}/body.bin", f"{address}/small.txt", f"{address}/absent"]


def _nginx(folder: Path, port: int) -> None:
    _with_body(folder, port)
    (folder / "nginx.conf").write_text(
        textwrap.dedent(f"""\
            daemon off;
            worker_processes 2;
            pid {folder}/nginx.pid;
            error_log stderr warn;
            events {{}}
            http {{
                access_log off;
                default_type application/octet-stream;
                client_body_temp_path {folder}/t1;
                proxy_temp_path {folder}/t2;
                fastcgi_temp_path {folder}/t3;
                uwsgi_temp_path {folder}/t4;
                scgi_temp_path {folder}/t5;
                server {{ listen 127.0.0.1:{port}; root {folder}; }}
            }}
            """)
    )


def _certificate(folder: Path, port: int) -> None:
    _with_body(folder, port)
    if not (folder / "key.pem").exists():
        subprocess.run(
            shlex.split(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
                "-keyout key.pem -out certificate.pem -days 2 -subj /CN=localhost"
            ),
            cwd=folder,
            check=True,
            capture_output=True,
        )


def _dnsmasq(folder: Path, port: int) -> list[str]:
    options = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]
    options += [f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--log-facility=-"]
    return ["dnsmasq", *options, "--address=/name.test/192.0.2.7", "--txt-record=long.test,a text of some length"]


def _dig(folder: Path, port: int) -> list[str]:
    server = ["@127.0.0.1", "-p", str(port), "+short", "+tries=1", "+time=20"]
    return ["dig", *server, "name.test", "A", "+notcp", "long.test", "TXT", "+tcp"]


def _go(folder: Path, port: int) -> None:
    _with_body(folder, port)
    (folder / "main.go").write_bytes((PROGRAMS / "main.go").read_bytes())
    if not (folder / "program").exists():
        subprocess.run(
            ["go", "build", "-o", "program", "main.go"],
            cwd=folder,
            check=True,
            capture_output=True,
            # The compiled standard library is worth keeping between the tests of a run.
            env={
                **os.environ,
                "GOCACHE": str(folder.parent / "go-cache"),
                "GO111MODULE": "off",
                "CGO_ENABLED": "0",
            },
        )


def _java(folder: Path, port: int) -> None:
    _with_body(folder, port)
    if not (folder / "Main.class").exists():
        subprocess.run(
            ["javac", "-d", str(folder), str(PROGRAMS / "Main.java")], check=True, capture_output=True, cwd=folder
        )


def _java_command(*arguments: str) -> list[str]:
    # Small, and without the files that a JVM shares with others. The JDK's HTTP server writes head and body by two calls
    # with Nagle's algorithm on, which costs 40 ms an exchange (and is found): its own switch against that is set.
    return [
        "java",
        "-Dsun.net.httpserver.nodelay=true",
        "-Xmx64m",
        "-XX:TieredStopAtLevel=1",
        "-XX:-UsePerfData",
        "-cp",
        ".",
        "Main",
        *arguments,
    ]


REDIS_COMMANDS = b"""PING
SET letter "three thousand bytes"
GET letter
RPUSH list a b c d
LRANGE list 0 -1
INCR number
SETRANGE large 100000 end
STRLEN large
GET absent
NOSUCHCOMMAND
"""

PAIRS = [
    Pair(
        name="redis",
        needs=("redis-server", "redis-cli"),
        server=lambda folder, port: shlex.split(
            f"redis-server --port {port} --bind 127.0.0.1 --save '' --dir {folder} --daemonize no"
        ),
        client=lambda folder, port: ["redis-cli", "-h", "127.0.0.1", "-p", str(port)],
        client_input=REDIS_COMMANDS,
        volatile=(rb"^\d+:([A-Z]) \d+ \w+ \d+ [\d:.]+", rb"^\d+:signal-handler \(\d+\)", rb"pid=\d+|PID: \d+"),
    ),
    Pair(
        name="nginx",
        needs=("nginx", "curl"),
        prepare=_nginx,
        server=lambda folder, port: ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"],
        client=_curl,
        stop=signal.SIGQUIT,  # graceful
        volatile=(rb"^\d+/\d+/\d+ [\d:]+", rb"\d+#\d+"),
        unordered=True,
    ),
    Pair(
        name="http.server",
        needs=("curl",),
        prepare=_with_body,
        server=lambda folder, port: [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
        client=_curl,
        stop=signal.SIGINT,
        volatile=(rb"\[\d+/\w+/\d+ [\d:]+\]",),
        environment={"PYTHONUNBUFFERED": "1"},
    ),
    Pair(
        name="openssl",
        needs=("openssl",),
        prepare=_certificate,
        server=lambda folder, port: shlex.split(
            f"openssl s_server -accept 127.0.0.1:{port} -cert certificate.pem -key key.pem -WWW -naccept 1 -quiet"
        ),
        client=lambda folder, port: shlex.split(
            f"openssl s_client -connect 127.0.0.1:{port} -CAfile certificate.pem -quiet -servername localhost"
        ),
        client_input=b"GET /body.bin HTTP/1.0\r\n\r\n",
        stop=None,
        volatile=(rb"[0-9A-F]{12,}:error",),
    ),
    Pair(
        name="dnsmasq",
        needs=("dnsmasq", "dig"),
        server=_dnsmasq,
        client=_dig,
        transport="udp",
        volatile=(rb"^\w+ +\d+ [\d:]+", rb"dnsmasq\[\d+\]"),
    ),
    Pair(
        name="node",
        needs=("node", "curl"),
        prepare=_with_body,
        server=lambda folder, port: ["node", str(PROGRAMS / "main.mjs"), "serve", str(port)],
        client=lambda folder, port: ["node", str(PROGRAMS / "main.mjs"), "fetch", str(port)],
    ),
    Pair(
        name="socat",
        needs=("socat",),
        prepare=_with_body,
        server=lambda folder, port: ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr", "EXEC:tr a-z A-Z"],
        client=lambda folder, port: ["socat", "-t", "30", "-", f"TCP:127.0.0.1:{port}"],
        client_input=BODY,
        stop=None,
    ),
    Pair(
        name="go",
        needs=("go",),
        prepare=_go,
        server=lambda folder, port: ["./program", "serve", str(port)],
        client=lambda folder, port: ["./program", "fetch", str(port)],
    ),
    Pair(
        name="java",
        needs=("java", "javac"),
        prepare=_java,
        server=lambda folder, port: _java_command("serve", str(port)),
        client=lambda folder, port: _java_command("fetch", str(port)),
    ),
]
