"""``python -m wallsocket`` and the command ``wallsocket``.

Ctrl-C may come while the command line is still being imported: what stands outside the ``try`` costs no time.
"""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; the result is the exit status."""
    try:
        from .cli import main as run

        status = run()
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done: the interpreter's end is not interrupted
        return status
    except KeyboardInterrupt:
        # The words and the status of cli.main, which may not be there yet.
        sys.stderr.write("wallsocket: interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
