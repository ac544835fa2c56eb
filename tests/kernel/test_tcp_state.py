"""The one list of TCP states."""

from __future__ import annotations

from wallsocket.kernel import names
from wallsocket.kernel.tcp_state import TcpState


def test_numbers_and_names_are_those_of_the_kernel() -> None:
    assert {state.value: state.name for state in TcpState} == {
        number: names.tcp_state(number) for number in range(1, 14)
    }
