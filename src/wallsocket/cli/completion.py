"""``wallsocket completion``: a script that completes commands in the user's shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["command"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script for SHELL that completes commands, options and recordings.

    \b
    bash   eval "$(wallsocket completion bash)"        in ~/.bashrc
    zsh    eval "$(wallsocket completion zsh)"         in ~/.zshrc
    fish   wallsocket completion fish | source         in ~/.config/fish/config.fish
    """
    completion = get_completion_class(shell)
    assert completion is not None
    root = context.find_root()
    click.echo(completion(root.command, {}, "wallsocket", "_WALLSOCKET_COMPLETE").source())
