"""``wallsocket web``: a recording as a page in the browser, live while it grows."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import NotAvailable
from . import ending, options, recorded

if TYPE_CHECKING:
    from ..web import Page

__all__ = ["command", "learn"]


@click.command("web", cls=options.RecordingOrCommand)
@options.recording
@recorded.how(
    pid="Attach to this running process; may be given several times.",
    output="Keep the recording here (with a command or -p).",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Listen on this port instead of any free one."
)
@click.option(
    "--good",
    type=click.Path(path_type=Path),
    metavar="GOOD",
    help="Compare with this recording of a run that went well.",
)
@click.option(
    "--try", "try_it", is_flag=True, help="No recording: build two hosts and a link, and run a service there."
)
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
@options.json
@options.quiet
@click.pass_context
def command(
    context: click.Context,
    recording: options.Files | None,
    how: recorded.How,
    port: int,
    good: Path | None,
    try_it: bool,
    open_browser: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Show a recording (the newest if none is named) as a page, or record a program and show it meanwhile.

    \b
    wallsocket web                        the newest recording
    wallsocket web run.wsrec
    wallsocket web --lab -- sh run.sh     as it happens, with the wire
    wallsocket web -p 4711                a program that runs already
    wallsocket web --try                  a service in a lab, to turn knobs and see what happens
    wallsocket web bad.wsrec --good good.wsrec

    The page is at 127.0.0.1 only. The printed address is good for one browser. Ctrl-C ends it; a command gets the first
    Ctrl-C itself, as under wallsocket trace. The exit status is the command's, else 0. Needs the extra:
    pip install "wallsocket[web]".
    """
    if try_it:
        if recording is not None or how.pid or how.lab or how.output is not None or good is not None:
            raise click.UsageError("--try makes its own recording: give neither a recording nor a command")
        return learn("try", port=port, open_browser=open_browser, as_json=as_json, quiet=quiet)
    target = recorded.target_shown(context, recording, how.pid)
    page_of = _page()
    from ..view import Feed

    path = None
    if target is None and not how.pid:
        path = options.recording_path(context, recording, quiet=quiet or as_json)
    if good is not None:
        good = options.recording_path(context, good, quiet=True)
    with Feed(path, good=good) as feed, page_of(feed, port=port) as page:

        def announce() -> None:
            _announce(page, open_browser=open_browser, as_json=as_json, quiet=quiet)

        if path is not None:
            return _stay(announce, quiet=quiet, words="wallsocket: Ctrl-C ends it" if not as_json else "")
        announce()
        from ..trace import places
        from ..trace.attach import target as process_of
        from ..trace.run import Rows
        from ..trace.summary import describe, say

        word = "lab" if isinstance(how.lab, Path) else target[0] if target else process_of(how.pid[0]).name
        names = _Names(places.new_paths(word))

        def begun(_: Rows) -> None:
            if not feed.has_begun:
                taken = how.output or names.latest
                assert taken is not None
                feed.begin(taken)

        result = how.record(target or (), quiet=quiet, names=names, live=begun)
        feed.begin(result.path)

        def tell() -> None:
            if not quiet:
                say(describe(result))
            how.prune(quiet=quiet)

        _stay(tell, quiet=quiet, words="wallsocket: the page stays; Ctrl-C ends it")
        return result.exit_status


def _page() -> type[Page]:
    try:
        from ..web import Page
    except ImportError as error:
        raise NotAvailable('the page needs an extra: pip install "wallsocket[web]"') from error
    return Page


def learn(screen: str, *, port: int, open_browser: bool, as_json: bool, quiet: bool) -> int:
    """The page without a recording: lessons, quizzes and services to try; ``screen`` comes first."""
    page_of = _page()
    from ..view import Feed
    from ..web import Workshop

    with (
        Feed(learns=True) as feed,
        Workshop(feed) as workshop,
        page_of(feed, port=port, workshop=workshop, screen=screen) as page,
    ):
        status = _stay(
            lambda: _announce(page, open_browser=open_browser, as_json=as_json, quiet=quiet),
            quiet=quiet,
            words="wallsocket: Ctrl-C ends it" if not as_json else "",
        )
        # While the page is still there to answer who waits.
        workshop.end()
        return status


def _announce(page: Page, *, open_browser: bool, as_json: bool, quiet: bool) -> None:
    if as_json:
        click.echo(json.dumps({"url": page.url}))
    elif not quiet:
        click.echo(f"wallsocket: the page is at {page.url}", err=True)
    if open_browser:
        click.launch(page.url)


class _Names:
    """Names for a recording, of which the latest is the one that was taken."""

    def __init__(self, names: Iterable[Path]) -> None:
        self._names = names
        self.latest: Path | None = None

    def __iter__(self) -> Iterator[Path]:
        for name in self._names:
            self.latest = name
            yield name


def _stay(first: Callable[[], None], *, quiet: bool, words: str) -> int:
    """Do what is first and say the words, then stay until Ctrl-C or SIGTERM; who has read the words may send one at once."""
    with contextlib.suppress(KeyboardInterrupt), ending.in_order():
        first()
        if not quiet and words:
            click.echo(words, err=True)
        threading.Event().wait()
    if not quiet:
        click.echo("wallsocket: the page is closed", err=True)
    return 0
