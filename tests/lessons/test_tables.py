"""What every call says in every state: the whole tables, as they were measured on Linux 6.18."""

from __future__ import annotations

import pytest

from wallsocket.lessons.catalogue import named
from wallsocket.lessons.lesson import Claim
from wallsocket.lessons.play import play

UDP = """
bind   connect send         sendto       recv         getpeername shutdown listen     accept disconnect poll
ok     ok      EDESTADDRREQ 1            EAGAIN       ENOTCONN    ENOTCONN EOPNOTSUPP EOPNOTSUPP ok         OUT           created
EINVAL ok      EDESTADDRREQ 1            EAGAIN       ENOTCONN    ENOTCONN EOPNOTSUPP EOPNOTSUPP ok         OUT           bound
EINVAL ok      1            1            EAGAIN       ok          ok       EOPNOTSUPP EOPNOTSUPP ok         OUT           connected
EINVAL ok      ECONNREFUSED ECONNREFUSED ECONNREFUSED ok          ok       EOPNOTSUPP EOPNOTSUPP ok         OUT+ERR       error pending
EINVAL ok      EPIPE        EPIPE        EAGAIN       ok          ok       EOPNOTSUPP EOPNOTSUPP ok         OUT           shut for sending
EINVAL ok      1            1            EAGAIN       ok          ok       EOPNOTSUPP EOPNOTSUPP ok         IN+OUT+RDHUP  shut for receiving
"""

TCP = """
bind   listen connect      accept send         recv         shutdown getpeername disconnect poll
ok     ok     EINPROGRESS  EINVAL EPIPE        ENOTCONN     ENOTCONN ENOTCONN    ok         OUT+HUP               created
EINVAL ok     EINPROGRESS  EINVAL EPIPE        ENOTCONN     ENOTCONN ENOTCONN    ok         OUT+HUP               bound
EINVAL ok     EISCONN      EAGAIN EPIPE        ENOTCONN     ok       ENOTCONN    ok         nothing               LISTEN
EINVAL EINVAL EALREADY     EINVAL EAGAIN       EAGAIN       ok       ENOTCONN    ok         nothing               SYN_SENT
ok     EINVAL ECONNREFUSED EINVAL ECONNREFUSED ECONNREFUSED ENOTCONN ENOTCONN    ok         IN+OUT+ERR+HUP+RDHUP  refused
EINVAL EINVAL EISCONN      EINVAL 1            EAGAIN       ok       ok          ok         OUT                   ESTABLISHED
EINVAL EINVAL EISCONN      EINVAL EPIPE        EAGAIN       ok       ok          ok         OUT                   FIN_WAIT1
EINVAL EINVAL EISCONN      EINVAL EPIPE        EAGAIN       ok       ok          ok         OUT                   FIN_WAIT2
EINVAL EINVAL EISCONN      EINVAL 1            b''          ok       ok          ok         IN+OUT+RDHUP          CLOSE_WAIT
EINVAL EINVAL EISCONN      EINVAL EPIPE        b''          ok       ok          ok         IN+OUT+HUP+RDHUP      CLOSING
ok     EINVAL EISCONN      EINVAL EPIPE        b''          ENOTCONN ENOTCONN    ok         IN+OUT+HUP+RDHUP      TIME_WAIT
EINVAL EINVAL EISCONN      EINVAL EPIPE        b''          ok       ok          ok         IN+OUT+HUP+RDHUP      LAST_ACK
ok     EINVAL EISCONN      EINVAL ECONNRESET   ECONNRESET   ENOTCONN ENOTCONN    ok         IN+OUT+ERR+HUP+RDHUP  reset
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
