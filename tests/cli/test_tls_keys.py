"""``trace --tls-keys`` and ``export --tls-keys``: tshark reads what was encrypted, with the keys and not without."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TALK = """
import socket, ssl, sys, threading
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    connection, _ = listener.accept()
    with server.wrap_socket(connection, server_side=True) as wrapped:
        wrapped.recv(1000)
        wrapped.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nhidden")
thread = threading.Thread(target=serve)
thread.start()
client = ssl.create_default_context()  # Python's own: it honours SSLKEYLOGFILE
client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
with client.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname="x.example") as wrapped:
    wrapped.sendall(b"GET /hidden-place HTTP/1.1\\r\\nHost: x.example\\r\\n\\r\\n")
    while wrapped.recv(1000): pass
thread.join()
"""


@pytest.mark.skipif(
    shutil.which("tshark") is None or shutil.which("openssl") is None, reason="needs tshark and openssl"
)
def test_what_was_encrypted_is_read_with_the_keys(tmp_path: Path) -> None:
    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=100)

    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    request = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x.example", "-days", 1)
    made = run("openssl", *request, "-keyout", key, "-out", certificate)
    assert made.returncode == 0, made.stderr
    wallsocket = [sys.executable, "-m", "wallsocket"]
    keys, recording = tmp_path / "keys.log", tmp_path / "a.wsrec"
    options = ("--lab", "--payload", "all", "--tls-keys", keys, "-o", recording)
    traced = run(*wallsocket, "trace", *options, "--", sys.executable, "-c", TALK, certificate, key)
    if "private network" in traced.stderr:
        pytest.skip(traced.stderr)
    assert traced.returncode == 0, traced.stderr
    assert keys.stat().st_mode & 0o777 == 0o600
    assert keys.read_text().startswith(("#", "CLIENT", "SERVER"))

    def seen(*options: object) -> str:
        path = tmp_path / "a.pcapng"
        exported = run(*wallsocket, "export", recording, path, "--overwrite", "--with-payload", *options)
        assert exported.returncode == 0, exported.stderr
        assert ("IT CONTAINS KEYS" in exported.stderr) == bool(options)
        assert "--payload all" not in exported.stderr
        fields = ("-Y", "http.request", "-T", "fields", "-e", "http.request.uri")
        return run("tshark", "-r", path, "-d", "tcp.port==1-65535,tls", *fields).stdout

    assert seen("--tls-keys", keys) == "/hidden-place\n"
    assert seen() == ""
    # Without being asked nothing writes keys, into no file.
    assert b"CLIENT_RANDOM" not in recording.read_bytes()
    assert "go into pcapng" in run(*wallsocket, "export", recording, tmp_path / "a.otlp", "--tls-keys", keys).stderr


@pytest.mark.parametrize("command", ["trace", "explain"])
def test_the_command_learns_where_the_keys_go(command: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys.log"
    code = "import os; print(os.environ['SSLKEYLOGFILE'])"
    words = [sys.executable, "-m", "wallsocket", command, "--tls-keys", str(keys), "-o", str(tmp_path / "a.wsrec")]
    done = subprocess.run(
        [*words, "--", sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"{keys}\n"
    assert keys.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("command", ["trace", "explain"])
def test_a_place_that_cannot_be_written_is_said(command: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "wallsocket", command, "--tls-keys", str(tmp_path / "no" / "keys"), "--", "true"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr == f"wallsocket: --tls-keys {tmp_path}/no/keys: No such file or directory\n"
