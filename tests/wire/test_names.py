"""The public names of ``wallsocket.wire``, in whatever order its modules are imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from wallsocket import wire


@pytest.mark.parametrize(
    "name", ["arp", "ask", "capture", "collection", "inject", "layers", "ping", "streams", "traceroute"]
)
def test_a_function_keeps_its_name_when_its_module_is_imported(name):
    code = (
        f"import wallsocket.wire.{name}\n"
        f"from wallsocket import wire\n"
        f"assert not isinstance(wire.{name}, type(wire)), wire.{name}\n"
        f"from wallsocket.wire.{name} import {name}\n"
        f"assert wire.{name} is {name}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_public_name_is_there():
    for name in wire.__all__:
        assert callable(getattr(wire, name)), name
    with pytest.raises(AttributeError):
        wire.nothing  # noqa: B018


def test_importing_the_package_loads_nothing_compiled():
    code = (
        "import sys, wallsocket.wire; assert not [name for name in sys.modules if name.startswith('wallsocket._core')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_modules_that_the_pages_name_are_there_at_once():
    for name in (
        "columns.COLUMNS",
        "craft.Layer",
        "frame.to_dpkt",
        "interfaces.interfaces",
        "pcap.copy",
        "Injector.sweep",
    ):
        code = f"from wallsocket import wire; wire.{name}"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
