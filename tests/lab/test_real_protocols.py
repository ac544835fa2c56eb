"""Programs that others wrote, over links as bad as people meet: web, bulk transfer, name lookup."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.apart import wait_until
from wallsocket import lab

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.fail(f"the test set-up lacks {name}")
    return found


def test_curl_gets_the_right_file_from_nginx_at_five_percent_loss(tmp_path: Path) -> None:
    nginx, curl = program("nginx"), program("curl")
    data = random.Random(1).randbytes(300_000)
    (tmp_path / "file").write_bytes(data)
    tmp_path.chmod(0o755)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"""
daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/fastcgi;
    uwsgi_temp_path {tmp_path}/uwsgi; scgi_temp_path {tmp_path}/scgi;
    server {{ listen 80; root {tmp_path}; }}
}}
"""
    )
    with lab.hosts("client", "server", loss="5%", delay="50ms", seed=1) as net:
        client, server = net
        command = [nginx, "-c", str(configuration), "-e", f"{tmp_path}/error.log", "-g", "master_process off;"]
        with server.popen(command) as service:
            wait_until(lambda: listens(service.pid, 80), "nginx listens")
            done = client.run([curl, "-sS", "-m", "90", "http://server/file"], capture_output=True)
            service.terminate()
        assert done.stderr == b""
        assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
        link = net.link_between(client, server)
        assert link.counters(client)["lost"] > 0
        assert link.counters(client)["overrun"] == 0


def listens(pid: int, port: int) -> bool:
    rows = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "0A" for row in rows)


def test_iperf3_keeps_going_at_two_percent_loss() -> None:
    program("iperf3")
    with lab.hosts("client", "server", loss="2%", delay="2ms", seed=1) as net:
        client, server = net
        with server.popen("iperf3 -s -1 --forceflush", stdout=subprocess.PIPE, text=True) as service:
            wait_until(lambda: "listening" in service.stdout.readline(), "iperf3 listens")
            done = client.run("iperf3 -c server -n 2M", capture_output=True, text=True, timeout=90)
            service.communicate()
        assert done.returncode == 0, done.stdout + done.stderr
        assert net.link_between(client, server).counters(server)["lost"] > 10


def test_a_lost_question_is_asked_again(tmp_path: Path) -> None:
    dnsmasq, dig = program("dnsmasq"), program("dig")
    with lab.hosts("client", "server") as net:
        client, server = net
        link = net.link_between(client, server)
        command = [dnsmasq, "-k", "-C", "/dev/null", "-R", "-h", f"--pid-file={tmp_path}/pid", "--user="]
        command += ["--address=/name.test/192.0.2.5", "--port=53"]
        with server.popen(command) as service:
            wait_until(lambda: udp_bound(service.pid, 53), "dnsmasq is bound")
            # Each try of dig is a flow of its own, from another port: the first flow is lost, the second one passes.
            lost: set[bytes] = set()

            def lose_the_first_flow(end: lab.Host, frame: bytes) -> bool:
                is_question = end is server and frame[12:14] == b"\x08\x00" and frame[23] == 17
                if is_question and (not lost or frame[34:36] in lost):
                    lost.add(frame[34:36])
                    return False
                return True

            link.on_frame(lose_the_first_flow)
            question = [dig, "+short", "+time=1", "+tries=4", "-p", "53", f"@{server.address}", "name.test"]
            done = client.run(question, capture_output=True, text=True, timeout=60)
            link.on_frame(None)
            client.set_nameserver(server)
            named = client.run("getent ahostsv4 name.test", capture_output=True, text=True, timeout=60)
            service.terminate()
        assert "192.0.2.5" in done.stdout
        assert link.counters(server)["hooked"] >= 1
        assert named.stdout.startswith("192.0.2.5")


def udp_bound(pid: int, port: int) -> bool:
    rows = Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(f":{port:04X}") for row in rows)
