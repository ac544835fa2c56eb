"""``wallsocket mcp``: the same answers for programs and assistants that speak the Model Context Protocol."""

from __future__ import annotations

import click

from ..errors import NotAvailable

__all__ = ["command"]


@click.command("mcp")
@click.option("--allow-run", is_flag=True, help="Also offer a tool that runs programs under trace.")
def command(allow_run: bool) -> None:
    """Serve explain, inspect, rule and show on stdin and stdout, by the Model Context Protocol.

    \b
    An assistant starts it by itself when it is told this command:
      wallsocket mcp

    It reads recordings and looks at running programs; it changes and starts nothing without --allow-run. Needs the
    extra: pip install "wallsocket[mcp]".
    """
    try:
        from ..mcp_server import server
    except ImportError as error:
        raise NotAvailable('the server needs an extra: pip install "wallsocket[mcp]"') from error
    server(allow_run=allow_run).run()
