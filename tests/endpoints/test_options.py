"""Options by name on endpoints: asked, in force, and the warning between them."""

from __future__ import annotations

import socket
import warnings

import pytest

from wallsocket import options, tcp, udp
from wallsocket.errors import UsageError


def test_get_and_set_by_name():
    with tcp.Connection() as connection:
        assert connection.options["TCP_NODELAY"] is False
        connection.options["TCP_NODELAY"] = True
        assert connection.options["TCP_NODELAY"] is True
        assert connection.no_delay
        assert connection.options.describe("SO_TYPE").text == "SOCK_STREAM"


def test_less_than_asked_is_a_warning_with_the_reason():
    with open("/proc/sys/net/core/rmem_max") as file:
        most = int(file.read())
    with udp.Endpoint() as endpoint:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            setting = endpoint.options.set("SO_RCVBUF", 50_000)
        assert (setting.asked, setting.in_force, setting.clamped) == (50_000, 100_000, None)
        with pytest.warns(options.OptionWarning, match="net.core.rmem_max allows") as caught:
            endpoint.options["SO_RCVBUF"] = most * 4
        assert str(most) in str(caught[0].message)
        assert caught[0].filename == __file__


def test_refusals_say_what_is_needed():
    with socket.socket() as sock:
        with pytest.raises(UsageError, match="did you mean SO_RCVBUF"):
            options.set_option(sock, "SO_RECVBUF", 1)
        with pytest.raises(UsageError):
            options.set_option(sock, "TCP_NODELAY", "perhaps")


def test_live_values_of_a_socket():
    with udp.Endpoint() as endpoint:
        names = list(endpoint.options)
        assert {"SO_RCVBUF", "IP_TTL", "SO_BROADCAST"} <= set(names)
        assert not any(name.startswith("TCP_") for name in names)
        values = {value.option.name: value for value in options.live(endpoint.socket)}
        assert values["IP_TTL"].value == 64
