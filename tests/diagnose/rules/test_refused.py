"""The live reasons and the rules say the same of a refused connection, with the same certainty."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.diagnose.story import REFUSED, Story, inet
from wallsocket.diagnose import rule_of
from wallsocket.kernel import causes
from wallsocket.kernel.causes import Listening, refused

SWAPPED = causes.swapped_port(4567)


def recorded(host: str, port: int, listeners: list[dict[str, Any]], *, here: bool = True) -> Story:
    story = Story()
    tried = story.socket(story.process("client"), None, None)
    call = story.call("connect", tried, REFUSED, address=inet(host, port))
    rows = []
    for one in listeners:
        local = f"[{one['host']}]" if ":" in one["host"] else one["host"]
        rows.append(
            {
                "protocol": "tcp",
                "state": 10,
                "local": f"{local}:{one['port']}",
                "remote": None,
                "only_inet6": one.get("only_inet6"),
                "pids": [{"pid": 77, "command": "nginx"}],
            }
        )
    story.fact(call, "sockets", rows)
    story.fact(call, "addresses", [{"interface": "eth0", "address": host, "prefix": 24}] if here else [])
    return story


@pytest.mark.parametrize(
    ("host", "port", "listeners"),
    [
        ("127.0.0.1", 4567, []),
        ("127.0.0.1", 4567, [{"host": "0.0.0.0", "port": 4568}]),
        ("192.0.2.1", 4567, [{"host": "127.0.0.1", "port": 4567}]),
        ("127.0.0.2", 4567, [{"host": "127.0.0.1", "port": 4567}]),
        ("::1", 4567, [{"host": "127.0.0.1", "port": 4567}]),
        ("127.0.0.1", 4567, [{"host": "::1", "port": 4567}]),
        ("127.0.0.1", 4567, [{"host": "::", "port": 4567, "only_inet6": True}]),
        ("127.0.0.1", SWAPPED, [{"host": "127.0.0.1", "port": 4567}]),
        ("198.51.100.1", 4567, []),
    ],
)
def test_one_cause_one_certainty(host: str, port: int, listeners: list[dict[str, Any]]) -> None:
    here = host != "198.51.100.1"
    live = refused(
        host, port, "tcp", [Listening(protocol="tcp", who="nginx (pid 77)", **one) for one in listeners], here=here
    )
    assert live is not None
    cause, _ = live
    finding = recorded(host, port, listeners, here=here).diagnosis().findings[0]
    assert finding.rule == causes.RULES[cause.name]
    assert finding.certainty == cause.certainty
    assert finding.why.lower().startswith(cause.sentence.lower())
    assert "Nginx" not in finding.why


def test_the_table_names_rules() -> None:
    for rule in causes.RULES.values():
        assert rule_of(rule) is not None


def test_the_programs_own_listener_on_the_swapped_port_is_no_chance() -> None:
    story = Story()
    program = story.process("program")
    listener = story.socket(program, ("127.0.0.1", 4567), None)
    story.call("bind", listener, address=inet("127.0.0.1", 4567))
    story.call("listen", listener, a=5)
    tried = story.socket(program, None, None)
    story.call("connect", tried, REFUSED, address=inet("127.0.0.1", SWAPPED))
    assert story.found() == ["swapped-port certain error"]
    own = Listening(protocol="tcp", host="127.0.0.1", port=4567, own=True)
    found = refused("127.0.0.1", SWAPPED, "tcp", [own], here=True)
    assert found is not None
    assert (found[0].name, found[0].certainty) == ("byte_swapped_port", "certain")
    assert struct.pack("!H", SWAPPED) == struct.pack("<H", 4567)
