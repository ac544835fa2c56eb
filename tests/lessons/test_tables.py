"""What every call says in every state: the whole tables, as they were measured on Linux 6.18."""

from __future__ import annotations

import pytest

from wallsocket.lessons.catalogue import named
from wallsocket.lessons.lesson import Claim
from wallsocket.lessons.play import play

UDP = """
bind   connect send         sendto       recv         getpeername shutdown listen     accept     poll         disconnect
ok     ok      EDESTADDRREQ 1            EAGAIN       ENOTCONN    ENOTCONN EOPNOTSUPP EOPNOTSUPP OUT          ok  created
EINVAL ok      EDESTADDRREQ 1            EAGAIN       ENOTCONN    ENOTCONN EOPNOTSUPP EOPNOTSUPP OUT          ok  bound
EINVAL ok      1            1            EAGAIN       ok          ok       EOPNOTSUPP EOPNOTSUPP OUT          ok  connected
EINVAL ok      ECONNREFUSED ECONNREFUSED ECONNREFUSED ok          ok       EOPNOTSUPP EOPNOTSUPP OUT+ERR      ok  error pending
EINVAL ok      EPIPE        EPIPE        EAGAIN       ok          ok       EOPNOTSUPP EOPNOTSUPP OUT          ok  shut for sending
EINVAL ok      1            1            EAGAIN       ok          ok       EOPNOTSUPP EOPNOTSUPP IN+OUT+RDHUP ok  shut for receiving
"""

TCP = """
bind   listen connect      accept send         recv         shutdown getpeername poll                 disconnect
ok     ok     EINPROGRESS  EINVAL EPIPE        ENOTCONN     ENOTCONN ENOTCONN    OUT+HUP              ok  created
EINVAL ok     EINPROGRESS  EINVAL EPIPE        ENOTCONN     ENOTCONN ENOTCONN    OUT+HUP              ok  bound
EINVAL ok     EISCONN      EAGAIN EPIPE        ENOTCONN     ok       ENOTCONN    nothing              ok  LISTEN
EINVAL EINVAL EALREADY     EINVAL EAGAIN       EAGAIN       ok       ENOTCONN    nothing              ok  SYN_SENT
ok     EINVAL ECONNREFUSED EINVAL ECONNREFUSED ECONNREFUSED ENOTCONN ENOTCONN    IN+OUT+ERR+HUP+RDHUP ok  refused
EINVAL EINVAL EISCONN      EINVAL 1            EAGAIN       ok       ok          OUT                  ok  ESTABLISHED
EINVAL EINVAL EISCONN      EINVAL EPIPE        EAGAIN       ok       ok          OUT                  ok  FIN_WAIT1
EINVAL EINVAL EISCONN      EINVAL EPIPE        EAGAIN       ok       ok          OUT                  ok  FIN_WAIT2
EINVAL EINVAL EISCONN      EINVAL 1            b''          ok       ok          IN+OUT+RDHUP         ok  CLOSE_WAIT
EINVAL EINVAL EISCONN      EINVAL EPIPE        b''          ok       ok          IN+OUT+HUP+RDHUP     ok  CLOSING
ok     EINVAL EISCONN      EINVAL EPIPE        b''          ENOTCONN ENOTCONN    IN+OUT+HUP+RDHUP     ok  TIME_WAIT
EINVAL EINVAL EISCONN      EINVAL EPIPE        b''          ok       ok          IN+OUT+HUP+RDHUP     ok  LAST_ACK
ok     EINVAL EISCONN      EINVAL ECONNRESET   ECONNRESET   ENOTCONN ENOTCONN    IN+OUT+ERR+HUP+RDHUP ok  reset
"""


@pytest.mark.parametrize(("name", "measured"), [("X34", UDP), ("X35", TCP)])
def test_every_call_says_in_every_state_what_was_measured(name: str, measured: str) -> None:
    claim = named(name)
    assert isinstance(claim, Claim)
    run = play(claim)
    assert run.failure is None, run.failure
    heads, *rows = measured.strip().splitlines()
    wanted = {}
    for row in rows:
        *cells, socket = row.split(maxsplit=len(heads.split()))
        wanted[socket] = dict(zip(heads.split(), cells, strict=True))
    assert {row.pop("socket"): {call: str(said) for call, said in row.items()} for row in run.seen["table"]} == wanted
