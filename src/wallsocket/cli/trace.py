"""``wallsocket trace``: run a program and record its sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import options

__all__ = ["command"]


class _Payload(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    name = "N"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """The number of bytes; -1 for all."""
        if isinstance(value, int):
            return value
        words = {"none": 0, "all": -1}
        if value in words:
            return words[value]
        if not str(value).isdecimal():
            self.fail(f"{value!r} is neither none, nor all, nor a number of bytes", parameter, context)
        return int(value)


payload = click.option(
    "--payload",
    type=_Payload(),
    default=64,
    show_default=True,
    metavar="none|N|all",
    help="Bytes of payload to keep of each call.",
)
kill = click.option("--kill", is_flag=True, help="End the command when recording stops before it.")
deny_io_uring = click.option(
    "--deny-io-uring", is_flag=True, help="Make io_uring unavailable to the command: it then uses calls that are seen."
)
one_core = click.option("--one-core", is_flag=True, help="Confine the command to one core: tracing costs less.")


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@options.output("Write the recording to this file.")
@options.overwrite
@options.lab
@options.user
@options.duration
@options.quiet
@payload
@kill
@deny_io_uring
@one_core
@click.option("--live", is_flag=True, help="Print a line for each call, as it happens.")
@click.option("--no-kernel", is_flag=True, help="Do not look at the sockets themselves.")
@click.option("--no-lines", is_flag=True, help="Do not look for source lines.")
@click.argument("arguments", metavar="-- COMMAND [ARGUMENT]...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    output: Path | None,
    overwrite: bool,
    lab: bool,
    user: str | None,
    for_s: float | None,
    quiet: bool,
    payload: int,
    kill: bool,
    deny_io_uring: bool,
    one_core: bool,
    live: bool,
    no_kernel: bool,
    no_lines: bool,
    arguments: tuple[str, ...],
) -> int:
    """Run a program and record its sockets.

    Calls with their source lines, the kernel's view of each socket and, with --lab or as root, the packets go into one
    file; see `wallsocket show` and `wallsocket explain`. The exit status is the command's.
    """
    from ..trace import places, run

    def main_ended(status: int, left: int) -> None:
        if not quiet:
            run.say(
                f"wallsocket: the command has ended ({status}); {left} of its processes still run and are recorded; "
                "Ctrl-C ends the recording, not them"
            )

    printer = None
    if live:
        from ..trace.live import Printer

        printer = Printer().print_rows
    result = run.run(
        arguments,
        output=output,
        replace=overwrite,
        lab=lab,
        payload=None if payload < 0 else payload,
        live=printer,
        for_s=for_s,
        one_core=one_core,
        deny_io_uring=deny_io_uring,
        kill=kill,
        user=user,
        samples=not no_kernel,
        lines=not no_lines,
        on_main_end=main_ended,
    )
    if result.failure is not None and quiet:
        run.say(f"wallsocket: {result.failure}")
    if not quiet:
        run.say(run.describe(result))
    if output is None:
        for removed in places.prune():
            if not quiet:
                run.say(f"wallsocket: removed the old recording {removed.path} ({removed.size_bytes / 1e6:.1f} MB)")
    return result.exit_status
