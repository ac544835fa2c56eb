"""Alerts that end a TLS handshake, as calls show them: in clear, or sealed and told by their length."""

from __future__ import annotations

from tests.diagnose.story import S, Story, pair

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + bytes(508)
FLIGHT = b"\x16\x03\x03\x00\x7a\x02" + bytes(121) + b"\x14\x03\x03\x00\x01\x01" + b"\x17\x03\x03\x04\x00" + bytes(1024)
CHANGE = b"\x14\x03\x03\x00\x01\x01"
FINISHED = CHANGE + b"\x17\x03\x03\x00\x35" + bytes(53)
TICKETS = b"\x17\x03\x03\x00\xea" + bytes(234)
REQUEST = b"\x17\x03\x03\x00\x40" + bytes(64)
SEALED = b"\x17\x03\x03\x00\x13" + bytes(19)
REFUSED = b"\x15\x03\x03\x00\x02\x02\x46"


def talk(*turns: tuple[str, bytes], pause_ns: int = 0, client_ends: bool = False) -> list[str]:
    """Writes of both ends in turn: ``c`` and ``s``; then the server closes, or the client before the last write."""
    story = Story()
    server, client = pair(story)
    story.call("connect", client)
    for number, (who, data) in enumerate(turns, 1):
        mine, theirs = (client, server) if who == "c" else (server, client)
        if number == len(turns):
            story.now += pause_ns
            if client_ends:
                story.call("close", client, unread=0)
                story.call("read", server, 0, length=16384)
        story.call("write", mine, len(data), length=len(data), payload=data[:64])
        if not (client_ends and number == len(turns)):
            story.call("read", theirs, len(data), length=16384, payload=data[:64], left=0)
    for one in (server, client):
        if story.made[one]["ended"] is None:
            story.call("close", one, unread=0)
    return [f"{one.certainty} {one.title}" for one in story.diagnosis("tls-alert").findings]


def test_an_alert_in_clear() -> None:
    assert talk(("c", HELLO), ("s", REFUSED)) == ["certain the TLS handshake ends with the alert protocol_version"]


def test_the_client_refuses_the_server() -> None:
    said = ["strong the TLS client refuses the server in the handshake"]
    assert talk(("c", HELLO), ("s", FLIGHT), ("c", CHANGE + SEALED)) == said
    assert talk(("c", HELLO), ("s", FLIGHT), ("c", CHANGE), ("c", SEALED)) == said


def test_the_server_refuses_the_client_after_its_last_flight() -> None:
    said = ["strong the TLS server refuses the client after its last flight"]
    assert talk(("c", HELLO), ("s", FLIGHT), ("c", FINISHED), ("s", SEALED)) == said
    assert talk(("c", HELLO), ("s", FLIGHT), ("c", FINISHED), ("c", REQUEST), ("s", SEALED)) == said


def test_a_goodbye_is_no_alert() -> None:
    whole = (("c", HELLO), ("s", FLIGHT), ("c", FINISHED))
    assert talk(*whole, ("s", TICKETS), ("c", REQUEST), ("s", REQUEST), ("s", SEALED)) == []
    assert talk(*whole, ("s", TICKETS), ("s", SEALED)) == []
    assert talk(*whole, ("s", SEALED), pause_ns=5 * S) == []
    assert talk(*whole, ("s", SEALED), client_ends=True) == []
    assert talk(*whole, ("s", TICKETS), ("c", REQUEST), ("c", SEALED)) == []
    assert talk(("c", b"\x17\x03" + bytes(22)), ("s", SEALED)) == []


def test_a_client_that_closes_when_the_certificate_has_come() -> None:
    left = "strong the TLS client gives the handshake up when the server's certificate has come"
    for answer, pause, found in ((FLIGHT, 0, [left]), (FLIGHT, 2 * S, []), (FLIGHT[:200], 0, [])):
        story = Story()
        server, client = pair(story)
        story.call("connect", client)
        story.call("write", client, len(HELLO), length=len(HELLO), payload=HELLO[:64])
        story.call("read", server, len(HELLO), length=16384, payload=HELLO[:64])
        story.call("write", server, len(answer), length=len(answer), payload=answer[:64])
        story.call("read", client, len(answer), length=16384, payload=answer[:64], left=0)
        story.now += pause
        story.call("close", client, unread=0)
        story.call("read", server, 0, length=16384)
        story.call("close", server, unread=0)
        assert [f"{one.certainty} {one.title}" for one in story.diagnosis("tls-alert").findings] == found
