"""Which sockets talk with each other."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.recordings import Script, unix
from wallsocket.trace.joins import Basis, Joins
from wallsocket.trace.recording import Recording

A, B, C = "127.0.0.1:1000", "127.0.0.1:2000", "127.0.0.1:3000"


@pytest.fixture
def script(tmp_path: Path) -> Script:
    script = Script(tmp_path / "t.wsrec")
    script.process(1, 70, "one")
    script.process(2, 71, "two")
    return script


def joined(recording: Recording) -> Joins:
    joins = Joins(recording)
    with recording:
        for event in recording.events():
            joins.see(event)
        joins.finish()
        for socket in recording.sockets:
            joins.learn(socket)
    return joins


def who(joins: Joins, socket: int) -> tuple[int, Basis] | None:
    peer = joins.peer(socket)
    return (peer.socket, peer.basis) if peer is not None else None


def test_a_pair_is_known_from_the_kernel(script: Script) -> None:
    script.socket(1, 1, 0, family=1, protocol=0, origin="socketpair")
    script.socket(2, 1, 0, family=1, protocol=0, origin="socketpair", parent=1)
    script.call("socketpair", 0, made=1)
    joins = joined(script.done(10))
    assert who(joins, 1) == (2, Basis.KERNEL)
    assert who(joins, 2) == (1, Basis.KERNEL)


def test_both_addresses_name_the_peer_whoever_is_asked_first(script: Script) -> None:
    script.socket(1, 1, 0, 100, local=A, remote=B)
    script.socket(2, 2, 10, 110, local=B, remote=A, origin="accept")
    script.call("accept4", 0, 10, 4, fd=3, socket=9, made=2)
    script.call("connect", 1, 5, fd=3, socket=1, address=B)
    joins = joined(script.done(200))
    assert who(joins, 2) == (1, Basis.ADDRESSES)
    connection = joins.connection(2)
    assert connection is not None
    assert connection.sockets == (1, 2)


def test_an_accepted_socket_may_be_met_after_its_client_is_gone(script: Script) -> None:
    script.socket(9, 2, 0, local=B)
    script.socket(1, 1, 10, 20, local=A, remote=B)
    script.socket(2, 2, 9_000_000, local=B, remote=A, origin="accept", parent=9)
    script.call("connect", 11, 1, fd=3, socket=1, address=B)
    script.call("accept4", 8_999_999, 1, 4, fd=3, socket=9, made=2)
    joins = joined(script.done(10_000_000))
    # Nothing says that it was this client and not one that was not traced.
    assert who(joins, 2) == (1, Basis.INFERRED)


def test_a_client_that_was_gone_before_the_accept_that_waited_for_it_returned(script: Script) -> None:
    script.socket(9, 2, 0, local=B)
    script.socket(1, 1, 10, 20, local=A, remote=B)
    script.socket(2, 2, 90_000, local=B, remote=A, origin="accept", parent=9)
    script.call("connect", 11, 1, fd=3, socket=1, address=B)
    script.call("accept4", 5, 89_995, 4, fd=3, socket=9, made=2)
    joins = joined(script.done(10_000_000))
    assert who(joins, 2) == (1, Basis.ADDRESSES)


def test_a_later_client_that_lived_with_the_accepted_socket_takes_the_place_of_one_before(script: Script) -> None:
    """Both have its addresses; the first was gone, and its own accepted socket was never recorded."""
    script.socket(9, 2, 0, local=B)
    script.socket(1, 1, 10, 20, local=A, remote=B)
    script.socket(3, 1, 50_000, 90_000, local=A, remote=B)
    script.socket(2, 2, 50_010, 90_000, local=B, remote=A, origin="accept", parent=9)
    script.call("connect", 11, 1, fd=3, socket=1, address=B)
    script.call("connect", 50_001, 1, fd=3, socket=3, address=B)
    script.call("accept4", 50_005, 5, 4, fd=3, socket=9, made=2)
    joins = joined(script.done(100_000))
    assert who(joins, 2) == (3, Basis.ADDRESSES)
    assert who(joins, 1) is None


def test_unix_clients_are_accepted_in_their_order_which_is_inferred(script: Script) -> None:
    name = unix(b"/run/service")
    script.socket(3, 1, 1, family=1, protocol=0, local=name)
    for number, at in ((4, 10), (5, 20)):
        script.socket(number, 2, at, family=1, protocol=0, remote=name)
        script.call("connect", at + 1, fd=3, socket=number, address=name, process=2)
    script.call("listen", 2, fd=5, socket=3, a=1)
    for number, at in ((6, 30), (7, 40)):
        script.socket(number, 1, at, family=1, protocol=0, origin="accept", parent=3, local=name)
        script.call("accept4", at, fd=5, socket=3, made=number, result=6)
    joins = joined(script.done(100))
    assert [who(joins, number) for number in (4, 5, 6, 7)] == [
        (6, Basis.INFERRED),
        (7, Basis.INFERRED),
        (4, Basis.INFERRED),
        (5, Basis.INFERRED),
    ]
    assert joins.peer(3) is None


def test_a_unix_client_that_came_after_an_accept_is_not_its_peer(script: Script) -> None:
    """The first accepted one belongs to a client that was not traced."""
    name = unix(b"/run/service")
    script.socket(3, 1, 1, family=1, protocol=0, local=name)
    script.socket(6, 1, 30, family=1, protocol=0, origin="accept", parent=3, local=name)
    script.call("accept4", 29, 1, fd=5, socket=3, made=6, result=6)
    script.socket(4, 2, 50_000, family=1, protocol=0, remote=name)
    script.call("connect", 50_001, 1, fd=3, socket=4, address=name, process=2)
    script.socket(7, 1, 50_020, family=1, protocol=0, origin="accept", parent=3, local=name)
    script.call("accept4", 50_010, 10, fd=5, socket=3, made=7, result=6)
    joins = joined(script.done(60_000))
    assert joins.peer(6) is None
    assert who(joins, 4) == (7, Basis.INFERRED)


def test_a_unix_client_with_a_name_of_its_own_is_known_by_it(script: Script) -> None:
    name, own = unix(b"/run/service"), unix(b"\0mine")
    script.socket(3, 1, 1, family=1, protocol=0, local=name)
    script.socket(4, 2, 5, family=1, protocol=0, local=own, remote=name)
    script.call("connect", 6, 1, fd=3, socket=4, address=name, process=2)
    script.socket(7, 1, 9, family=1, protocol=0, origin="accept", parent=3, local=name, remote=own)
    script.call("accept4", 8, 1, fd=5, socket=3, made=7, result=6, address=own)
    joins = joined(script.done(100))
    assert who(joins, 4) == (7, Basis.ADDRESSES)


def test_datagrams_reach_who_is_connected_before_who_is_bound(script: Script) -> None:
    script.socket(1, 1, 0, type=2, protocol=17, local="0.0.0.0:2000")
    script.socket(2, 1, 5, type=2, protocol=17, local=B, remote=A)
    script.socket(3, 2, 10, type=2, protocol=17, local=A, remote=B)
    script.socket(4, 2, 20, type=2, protocol=17, local=C)
    script.call("connect", 11, fd=3, socket=3, address=B, process=2)
    script.call("sendto", 30, fd=3, socket=4, address=B, length=5, result=5, process=2)
    joins = joined(script.done(100))
    assert who(joins, 3) == (2, Basis.ADDRESSES)
    assert who(joins, 4) == (1, Basis.ADDRESSES)
    assert joins.peer(1) is None


def test_what_is_forgotten_leaves_nothing_behind(script: Script) -> None:
    script.socket(9, 2, 0, local=B)
    for number in range(10, 40):
        place = f"127.0.0.1:{number * 100}"
        script.socket(number, 1, number, local=place, remote=B)
        script.socket(number + 100, 2, number + 1, local=B, remote=place, origin="accept", parent=9)
        script.call("connect", number + 0.1, 0.2, fd=3, socket=number, address=B)
        script.call("accept4", number + 0.5, 0.5, 4, fd=3, socket=9, made=number + 100)
    recording = script.done(1000)
    joins = joined(recording)
    assert who(joins, 12) == (112, Basis.ADDRESSES)
    joins.forget([9, *range(10, 40), *range(110, 140)])
    assert joins.remembered == 0


def test_random_connections_pair_as_they_were_made(tmp_path: Path) -> None:
    """Few ports used over and over, some ends not traced; every pair that is told is right."""
    for seed in range(20):
        chance = random.Random(seed)
        script = Script(tmp_path / f"{seed}.wsrec")
        script.process(1, 70, "one")
        script.socket(1, 1, 0, local=B)
        busy_until: dict[int, float] = {}
        truth: dict[int, int] = {}
        at, number = 10.0, 1
        for _ in range(150):
            at += chance.choice([1, 20, 6000, 40_000])
            port = chance.randrange(1, 6)
            if busy_until.get(port, 0) >= at:
                continue
            place = f"127.0.0.1:{port}"
            lives = chance.choice([5, 500, 50_000])
            waits = chance.choice([1, 400])
            busy_until[port] = at + lives + waits + 10_000
            client, server = None, None
            if chance.random() < 0.85:
                number += 1
                client = number
                script.socket(client, 1, at, at + lives, local=place, remote=B)
                script.call("connect", at + 0.1, 0.5, fd=3, socket=client, address=B)
            if chance.random() < 0.85:
                number += 1
                server = number
                met = at + waits
                script.socket(server, 1, met, met + lives, local=B, remote=place, origin="accept", parent=1)
                script.call("accept4", at - 1, waits + 1, 4, fd=3, socket=1, made=server, tid=number)
            if client is not None and server is not None:
                truth[client], truth[server] = server, client
        joins = joined(script.done(at + 100_000))
        for socket in range(2, number + 1):
            peer = joins.peer(socket)
            if peer is not None and not peer.inferred:
                assert truth.get(socket) == peer.socket, (seed, socket)
            if socket in truth:
                assert peer is not None, (seed, socket)
