"""One name for a program."""

from __future__ import annotations

import shlex

import pytest

from wallsocket.kernel import program


@pytest.mark.parametrize(
    ("line", "name", "telling"),
    [
        ("/usr/sbin/nginx -g 'daemon off;'", "nginx", "/usr/sbin/nginx"),
        ("./server 8080", "server", "./server"),
        ("python3 server.py --password x", "server.py", "python3 server.py"),
        ("/usr/bin/python3.11 -u -X dev -Wd /srv/server.py", "server.py", "/usr/bin/python3.11 /srv/server.py"),
        ("python3 -m http.server 80", "http.server", "python3 -m http.server"),
        ("python3 -Im http.server", "http.server", "python3 -Im http.server"),
        ("python3 -mhttp.server", "http.server", "python3 -mhttp.server"),
        ("python3 -c 'import x' secret", "python3", "python3 -c"),
        ("python3 -uc 'import x'", "python3", "python3 -uc"),
        ("python3 - secret", "python3", "python3"),
        ("python3", "python3", "python3"),
        ("python3 /usr/local/bin/gunicorn app:app", "gunicorn", "python3 /usr/local/bin/gunicorn"),
        ("pypy3 a.py", "a.py", "pypy3 a.py"),
        ("node --inspect -r ./hook.js server.mjs", "server.mjs", "node server.mjs"),
        ("node -e 'x' secret", "node", "node -e"),
        ("deno run -A --config deno.json app.ts", "app.ts", "deno run app.ts"),
        ("deno app.ts", "app.ts", "deno app.ts"),
        ("deno task start", "deno", "deno task"),
        ("bun run a.ts", "a.ts", "bun run a.ts"),
        ("bun install", "bun", "bun install"),
        ("java -cp . Shop", "Shop", "java Shop"),
        ("java -Xmx1g -Dkey=secret --class-path=a.jar com.example.Shop 1", "Shop", "java com.example.Shop"),
        ("java -jar /srv/app.jar", "app.jar", "java -jar /srv/app.jar"),
        ("java -p mods -m shop/com.example.Shop", "Shop", "java -m shop/com.example.Shop"),
        ("java @options Shop.java", "Shop.java", "java Shop.java"),
        ("ruby -w -Ilib -r json a.rb", "a.rb", "ruby a.rb"),
        ("ruby -ne 'x'", "ruby", "ruby -ne"),
        ("perl -MIO::Socket -I lib -w a.pl", "a.pl", "perl a.pl"),
        ("perl -le 'x'", "perl", "perl -le"),
        ("perl -i.bak -pe 'x'", "perl", "perl -pe"),
        ("php -d x=1 -f serve.php", "serve.php", "php -f serve.php"),
        ("php -S 127.0.0.1:8000 router.php", "router.php", "php router.php"),
        ("sh -c 'nc -l 1'", "sh", "sh -c"),
        ("bash -eu -o pipefail run.sh x", "run.sh", "bash run.sh"),
        ("bash -euxc 'x'", "bash", "bash -euxc"),
        ("bash -- run.sh", "run.sh", "bash -- run.sh"),
        ("-bash", "bash", "-bash"),
        ("go run -race ./cmd/server -v", "server", "go run ./cmd/server"),
        ("go run main.go", "main.go", "go run main.go"),
        ("go run .", "go", "go run ."),
        ("go test ./...", "go", "go test"),
        ("dotnet app.dll", "app.dll", "dotnet app.dll"),
        ("dotnet run", "dotnet", "dotnet run"),
        ("lua5.4 -l x a.lua", "a.lua", "lua5.4 a.lua"),
        ("busybox nc -l", "nc", "busybox nc"),
        ("'nginx: worker process'", "nginx", "'nginx: worker process'"),
        ("'postgres: main: user [local] idle'", "postgres", "'postgres: main: user [local] idle'"),
        ("/usr/bin/shellcheck a.sh", "shellcheck", "/usr/bin/shellcheck"),
        ("'/opt/my app/run'", "run", "'/opt/my app/run'"),
    ],
)
def test_the_name_that_people_use(line: str, name: str, telling: str) -> None:
    words = shlex.split(line)
    assert program.name(words) == name
    assert program.telling(words) == shlex.split(telling)


@pytest.mark.parametrize(
    ("title", "executable", "name"),
    [
        ("redis-server *:6379", "/usr/bin/redis-check-rdb", "redis-server"),
        ("redis-server *:6379", "redis-server", "redis-server"),
        ("./my server", "/srv/my server", "my server"),
        ("redis-server *:6379", None, "redis-server *:6379"),
    ],
)
def test_a_text_that_a_program_has_written_over_its_arguments(title: str, executable: str | None, name: str) -> None:
    assert program.name([title], executable) == name
    assert program.name([title, "", ""], executable) == name


def test_what_is_not_known_is_empty() -> None:
    assert program.name([]) == ""
    assert program.name([""], "/usr/bin/true") == "true"
    assert program.name(["python3", "\udcff.py"]) == "?.py"
    assert program.label("server.py", 7) == "server.py (pid 7)"
    assert program.label("", 7) == "unknown program (pid 7)"


@pytest.mark.parametrize("command", [None, "", "no json", "[1]", "{}", "[" * 100_000, '"x"'])
def test_a_command_that_is_no_list_of_words_has_no_name(command: str | None) -> None:
    assert program.name_of_command(command) == ""
    assert program.name_of_command(command, "/bin/prog") == "prog"
