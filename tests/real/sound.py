"""Well-known programs that work, both ends in one script: what a diagnosis must not find fault with.

Each is a shell script in a private network, where every port is free; its folder is fresh and its working folder. ``$PYTHON`` is an
interpreter with what the development environment has, ``bound PORT`` waits until a server listens there,
and servers (``server front first second near far``) end with it. Status 77: it cannot be run on this machine.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.real.harness import PATH

__all__ = ["SOUND", "Sound"]

PROGRAMS: Final = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Sound:
    """Programs that do what they should."""

    name: str
    script: str
    needs: Sequence[str] = ()
    #: Python packages.
    modules: Sequence[str] = ()
    #: Name to text, put into the folder first.
    files: Mapping[str, str] = field(default_factory=dict)
    #: Few seconds, and only what is installed everywhere: for the ordinary suite.
    quick: bool = False

    def missing(self) -> list[str]:
        """What it needs and does not find."""
        programs = [program for program in self.needs if shutil.which(program, path=PATH) is None]
        return programs + [module for module in self.modules if importlib.util.find_spec(module) is None]


NGINX = """\
daemon off;
worker_processes 2;
pid nginx.pid;
error_log stderr warn;
events { }
http {
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
    upstream origin { server 127.0.0.1:8080; keepalive 4; }
    server { listen 127.0.0.1:8080; root .; sendfile on; }
    server {
        listen 127.0.0.1:8081;
        location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; }
    }
}
"""

HAPROXY = """\
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend front
    bind 127.0.0.1:8082
    default_backend back
backend back
    balance roundrobin
    server one 127.0.0.1:8001
    server two 127.0.0.1:8002
"""

ASYNCIO = '''\
"""Fifty clients at once, each with three questions over one connection."""
import asyncio


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def ask(port, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for question in range(3):
        writer.write(f"client {number} asks {question}\\n".encode())
        await writer.drain()
        assert await reader.readline() == f"CLIENT {number} ASKS {question}\\n".encode()
    writer.close()
    await writer.wait_closed()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        await asyncio.gather(*(ask(port, number) for number in range(50)))


asyncio.run(main())
'''

SCAN = '''\
"""Which of these ports are open? That most are not is the answer, not a fault."""
import asyncio
import socket

listeners = [socket.create_server(("127.0.0.1", port)) for port in (4001, 4100)]


async def is_open(port):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 20)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def main():
    ports = range(4000, 4200)
    found = await asyncio.gather(*map(is_open, ports))
    assert [port for port, there in zip(ports, found) if there] == [4001, 4100]


asyncio.run(main())
for listener in listeners:
    listener.close()
'''

MEMCACHED = '''\
"""The text protocol: single values, several at once, a large one."""
import socket

with socket.create_connection(("127.0.0.1", 11211)) as client, client.makefile("rwb") as stream:
    def ask(request, end):
        stream.write(request)
        stream.flush()
        lines = [stream.readline()]
        while lines[-1] != end:
            lines.append(stream.readline())
        return lines

    for number in range(50):
        ask(b"set key%d 0 60 5\\r\\nvalue\\r\\n" % number, b"STORED\\r\\n")
    large = b"x" * 200_000
    ask(b"set large 0 60 %d\\r\\n%s\\r\\n" % (len(large), large), b"STORED\\r\\n")
    assert len(ask(b"get key1 key2 key3 absent\\r\\n", b"END\\r\\n")) == 7
    assert large + b"\\r\\n" in ask(b"get large\\r\\n", b"END\\r\\n")
    stream.write(b"quit\\r\\n")
    stream.flush()
'''

HTTPX = '''\
"""A pool of connections, parallel requests, a stream, a websocket-free life."""
import asyncio
import sys

try:
    import httpx2 as httpx
except ImportError:
    import httpx


async def main(address):
    async with httpx.AsyncClient(timeout=60) as client:
        answers = await asyncio.gather(*(client.get(f"{address}/?n={n}") for n in range(20)))
        assert all(answer.status_code == 200 for answer in answers)
        assert len((await client.post(address, content=b"y" * 300_000)).content) == 300_000
        async with client.stream("GET", address) as answer:
            async for _ in answer.aiter_bytes():
                pass


asyncio.run(main(sys.argv[1]))
'''

ASGI = """\
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body or b"hello\\n"})
"""

WSGI = """\
def app(environ, start):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) or b"hello\\n"
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

NODE = """\
// A server, and an agent that keeps its connections alive and asks thirty times, five at a time.
const http = require("http");
const server = http.createServer((request, response) => {
  let length = 0;
  request.on("data", (chunk) => (length += chunk.length));
  request.on("end", () => response.end(request.method === "POST" ? String(length) : "x".repeat(100_000)));
});
server.listen(0, "127.0.0.1", async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 5 });
  const { port } = server.address();
  const ask = (method, body) => new Promise((resolve, reject) => {
    const request = http.request({ port, host: "127.0.0.1", method, agent }, (response) => {
      let length = 0;
      response.on("data", (chunk) => (length += chunk.length));
      response.on("end", () => resolve(length));
    });
    request.on("error", reject);
    request.end(body);
  });
  await Promise.all(Array.from({ length: 30 }, (_, n) => (n % 3 ? ask("GET") : ask("POST", Buffer.alloc(200_000)))));
  agent.destroy();
  server.close();
});
"""

NIO = """\
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.channels.*;

/** One thread, one selector: an echo server and its ten clients. */
public final class Nio {
    public static void main(String[] arguments) throws Exception {
        Selector selector = Selector.open();
        ServerSocketChannel listener = ServerSocketChannel.open().bind(new InetSocketAddress("127.0.0.1", 0));
        listener.configureBlocking(false);
        listener.register(selector, SelectionKey.OP_ACCEPT);
        int port = ((InetSocketAddress) listener.getLocalAddress()).getPort();
        Thread clients = new Thread(() -> {
            try {
                for (int number = 0; number < 10; number++) {
                    try (Socket socket = new Socket("127.0.0.1", port)) {
                        byte[] message = new byte[5000];
                        socket.getOutputStream().write(message);
                        socket.shutdownOutput();
                        if (socket.getInputStream().readAllBytes().length != message.length) {
                            System.exit(3);
                        }
                    }
                }
            } catch (Exception error) {
                error.printStackTrace();
                System.exit(4);
            }
        });
        clients.start();
        int open = 0;
        int served = 0;
        while (served < 10 || open > 0) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isAcceptable()) {
                    SocketChannel channel = listener.accept();
                    channel.configureBlocking(false);
                    channel.register(selector, SelectionKey.OP_READ, ByteBuffer.allocate(8192));
                    open++;
                    served++;
                    continue;
                }
                SocketChannel channel = (SocketChannel) key.channel();
                ByteBuffer buffer = (ByteBuffer) key.attachment();
                if (channel.read(buffer) < 0) {
                    channel.close();
                    open--;
                    continue;
                }
                buffer.flip();
                while (buffer.hasRemaining()) {
                    channel.write(buffer);
                }
                buffer.clear();
            }
            selector.selectedKeys().clear();
        }
        clients.join();
        listener.close();
    }
}
"""

MQTT = '''\
"""MQTT 3.1.1 by hand: one subscribes, one publishes twenty messages."""
import socket


def packet(kind, body):
    assert len(body) < 128
    return bytes([kind, len(body)]) + body


def text(words):
    return len(words).to_bytes(2, "big") + words


def read(stream):
    kind, length = stream.read(2)
    return kind, stream.read(length)


def connect(name):
    client = socket.create_connection(("127.0.0.1", 1883))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = client.makefile("rb")
    client.sendall(packet(0x10, text(b"MQTT") + bytes([4, 2, 0, 60]) + text(name)))
    assert read(stream) == (0x20, b"\\0\\0")
    return client, stream


reader, incoming = connect(b"reader")
reader.sendall(packet(0x82, b"\\0\\1" + text(b"news") + b"\\0"))
assert read(incoming)[0] == 0x90
writer, _ = connect(b"writer")
for number in range(20):
    writer.sendall(packet(0x30, text(b"news") + b"%d" % number))
for number in range(20):
    assert read(incoming) == (0x30, text(b"news") + b"%d" % number)
for client in (reader, writer):
    client.sendall(packet(0xE0, b""))
    assert client.recv(1) == b""
    client.close()
'''

SOUND: Final = (
    Sound("asyncio", "$PYTHON many.py", files={"many.py": ASYNCIO}, quick=True),
    Sound("port scan by intention", "$PYTHON scan.py", files={"scan.py": SCAN}, quick=True),
    Sound(
        "redis, pipelines",
        """
        redis-server --port 6379 --bind 127.0.0.1 --save '' --daemonize no >server.log & server=$!
        bound 6379
        redis-benchmark -p 6379 -q -n 2000 -c 20 -t ping,set,get,lpush,lrange_100
        redis-benchmark -p 6379 -q -n 4000 -c 10 -P 16 -t set,get
        (for n in $(seq 500); do echo "SET key$n $n"; done) | redis-cli --pipe
        redis-cli shutdown nosave; wait
        """,
        needs=("redis-server", "redis-benchmark", "redis-cli"),
    ),
    Sound(
        "nginx, kept alive, in parallel, large, as a proxy",
        """
        head -c 20000000 /dev/urandom >large; echo small >small
        nginx -p . -c nginx.conf -e stderr & server=$!
        bound 8080; bound 8081
        curl -sSf $(for n in $(seq 20); do echo http://127.0.0.1:8080/small -o /dev/null; done)
        curl -sSfZ --parallel-max 8 $(for n in $(seq 40); do echo http://127.0.0.1:8081/small -o /dev/null; done)
        curl -sSf http://127.0.0.1:8081/large -o got && cmp large got
        curl -sSf --range 1000-1999 http://127.0.0.1:8080/large -o part
        kill -QUIT $server; wait
        """,
        needs=("nginx", "curl"),
        files={"nginx.conf": NGINX},
    ),
    Sound(
        "haproxy",
        """
        head -c 3000000 /dev/urandom >large; echo small >small
        $PYTHON -m http.server 8001 --bind 127.0.0.1 2>one.log & first=$!
        $PYTHON -m http.server 8002 --bind 127.0.0.1 2>two.log & second=$!
        bound 8001; bound 8002
        haproxy -db -f haproxy.cfg 2>haproxy.log & front=$!
        bound 8082
        curl -sSf $(for n in $(seq 10); do echo http://127.0.0.1:8082/small -o /dev/null; done)
        curl -sSfZ --parallel-max 5 $(for n in $(seq 20); do echo http://127.0.0.1:8082/large -o /dev/null; done)
        kill $front $first $second; wait
        """,
        needs=("haproxy", "curl"),
        files={"haproxy.cfg": HAPROXY},
    ),
    Sound(
        "PostgreSQL",
        """
        PATH=$(ls -d /usr/lib/postgresql/*/bin | tail -1):$PATH
        initdb -D data -U postgres -A trust >initdb.log
        postgres -D data -p 5432 -k "$PWD" -c listen_addresses=127.0.0.1 2>server.log & server=$!
        bound 5432
        until pg_isready -q -h 127.0.0.1; do sleep 0.1; done
        psql -q -h 127.0.0.1 -U postgres -c 'CREATE TABLE t (n int)' -c 'INSERT INTO t SELECT generate_series(1, 20000)'
        psql -h 127.0.0.1 -U postgres -Atc 'SELECT * FROM t' | tail -1
        psql -h "$PWD" -U postgres -Atc 'SELECT count(*) FROM t'
        pgbench -q -i -h 127.0.0.1 -U postgres postgres 2>&1 | tail -1
        pgbench -h 127.0.0.1 -U postgres -c 4 -j 2 -t 50 postgres | tail -1
        kill -INT $server; wait
        """,
        needs=("psql", "pgbench"),
    ),
    Sound(
        "memcached",
        "memcached -p 11211 -U 0 -l 127.0.0.1 & server=$!; bound 11211; $PYTHON talk.py; kill $server; wait",
        needs=("memcached",),
        files={"talk.py": MEMCACHED},
    ),
    Sound(
        "mosquitto",
        "mosquitto -p 1883 2>server.log & server=$!; bound 1883; $PYTHON talk.py; kill $server; wait",
        needs=("mosquitto",),
        files={"talk.py": MQTT},
    ),
    Sound("Node http, kept alive", "node many.js", needs=("node",), files={"many.js": NODE}),
    Sound(
        "Go http, in parallel",
        """
        export GOCACHE=$PWD/cache GO111MODULE=off CGO_ENABLED=0
        go build -o program main.go
        head -c 300000 /dev/urandom >body.bin; echo small >small.txt
        ./program serve 8000 & server=$!
        bound 8000
        for n in 1 2 3 4; do ./program fetch 8000 >$n.log & list="$list $!"; done
        wait $list; kill $server; wait
        """,
        needs=("go",),
        files={"main.go": (PROGRAMS / "main.go").read_text()},
    ),
    Sound(
        "Java NIO",
        "javac -d . Nio.java && java -Xmx64m -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp . Nio",
        needs=("java", "javac"),
        files={"Nio.java": NIO},
    ),
    Sound(
        "uvicorn and a pool of connections",
        """
        $PYTHON -m uvicorn app:app --port 8000 --log-level warning & server=$!
        bound 8000; $PYTHON ask.py http://127.0.0.1:8000; kill $server; wait
        """,
        modules=("uvicorn", "httpx2"),
        files={"app.py": ASGI, "ask.py": HTTPX},
    ),
    Sound(
        "gunicorn and a pool of connections",
        """
        $PYTHON -m gunicorn -w 2 -b 127.0.0.1:8000 --log-level warning app:app & server=$!
        bound 8000; $PYTHON ask.py http://127.0.0.1:8000; kill $server; wait
        """,
        modules=("gunicorn", "httpx2"),
        files={"app.py": WSGI, "ask.py": HTTPX},
    ),
    Sound(
        "iperf3",
        """
        iperf3 -s -B 127.0.0.1 >server.log & server=$!
        bound 5201
        iperf3 -c 127.0.0.1 -n 20M -P 2 >1.log
        iperf3 -c 127.0.0.1 -n 20M -R >2.log
        iperf3 -c 127.0.0.1 -u -b 2M -t 1 >3.log
        kill $server; wait
        """,
        needs=("iperf3",),
    ),
    Sound(
        "socat, TCP to Unix",
        """
        head -c 2000000 /dev/urandom >input
        socat UNIX-LISTEN:echo.sock,fork EXEC:cat & far=$!
        socat TCP-LISTEN:7000,bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:echo.sock & near=$!
        bound 7000
        for n in 1 2 3; do socat -t 30 - TCP:127.0.0.1:7000 <input >out$n; cmp input out$n || exit 1; done
        kill $near $far; wait
        """,
        needs=("socat",),
    ),
    Sound(
        "ssh",
        """
        ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f key; cp key.pub authorized; chmod 600 *
        head -c 2000000 /dev/urandom >input
        "$(command -v sshd)" -D -e -f /dev/null -p 2222 -h "$PWD/host" -o ListenAddress=127.0.0.1 -o PidFile=none \
            -o AuthorizedKeysFile="$PWD/authorized" -o StrictModes=no -o UsePAM=no 2>server.log & server=$!
        bound 2222
        remote="ssh -q -p 2222 -i key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes 127.0.0.1"
        # The account of a test machine may have no password, and be locked for that.
        $remote true || { tail -1 server.log >&2; exit 77; }
        $remote cat <input >output && cmp input output || exit 1
        $remote 'echo one; sleep 0.2; echo two'
        kill $server; wait
        """,
        needs=("sshd", "ssh", "ssh-keygen"),
    ),
    Sound(
        "rsync",
        """
        mkdir from to; for n in $(seq 50); do head -c 20000 /dev/urandom >from/$n; done
        printf 'use chroot = no\\n[data]\\npath = %s/to\\nread only = no\\n' "$PWD" >rsyncd.conf
        rsync --daemon --no-detach --port 8730 --address 127.0.0.1 --config rsyncd.conf --log-file=server.log & server=$!
        bound 8730
        rsync -a from/ rsync://127.0.0.1:8730/data; echo more >>from/7
        rsync -a from/ rsync://127.0.0.1:8730/data; cmp from/7 to/7 || exit 1
        kill $server; wait
        """,
        needs=("rsync",),
    ),
)
