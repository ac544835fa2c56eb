"""A recording for other tools: one file for each format.

What a program sent and what it was given as arguments stays here unless it is asked for: see :mod:`.discretion`.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ...errors import UsageError
from ...files import whole
from ..recording import Recording
from .material import Finding, Material

__all__ = ["FORMATS", "Finding", "Format", "export", "format_of"]


#: A line of a key log (draft-ietf-tls-keylogfile): what it is, the client's random, the secret.
_KEY: Final = re.compile(rb"^[A-Z0-9_]+ [0-9A-Fa-f]{64} [0-9A-Fa-f]+\s*$", re.MULTILINE)


class Format(NamedTuple):
    """A format that a recording can be written in."""

    name: str
    suffixes: tuple[str, ...]
    reader: str  #: who reads it
    module: str | None  #: in this package, with ``write(material, file)``; ``None``: written where findings are known


FORMATS: Final[dict[str, Format]] = {
    item.name: item
    for item in (
        Format("pcapng", (".pcapng",), "Wireshark, tshark", "pcapng"),
        Format("perfetto", (".pftrace", ".perfetto-trace"), "ui.perfetto.dev, trace_processor", "perfetto"),
        Format("qlog", (".sqlog", ".qlog"), "qvis and other readers of qlog (JSON-SEQ)", "qlog"),
        Format("mermaid", (".mmd", ".mermaid"), "Mermaid: a sequence diagram for Markdown", "mermaid"),
        Format("ndjson", (".ndjson", ".jsonl"), "jq, DuckDB, a log store: one object per line", "ndjson"),
        Format("sarif", (".sarif",), "code scanning: the findings", None),
        Format("otlp", (".otlp.json", ".otlp"), "an OpenTelemetry collector: the findings as log records", None),
        Format("html", (".html", ".htm"), "a browser: the whole page in one file", None),
    )
}


def format_of(path: str | os.PathLike[str]) -> Format:
    """The format that the ending of a path stands for.

    Raises:
        UsageError: none.
    """
    name = os.fspath(path).lower()
    for item in FORMATS.values():
        if name.endswith(item.suffixes):
            return item
    known = ", ".join(item.suffixes[0] for item in FORMATS.values())
    raise UsageError(f"{os.fspath(path)}: the ending names no format ({known}); name one with --to")


def export(
    recording: Recording,
    path: str | os.PathLike[str],
    *,
    to: str | None = None,
    findings: Sequence[Finding] = (),
    with_payload: bool = False,
    tls_keys: bytes | None = None,
    replace: bool = False,
) -> Material:
    """Write a recording in another tool's format; the file gets its name when it is whole. What went into it.

    Args:
        recording: what to write.
        path: the new file; it is made with mode 0600. ``-`` is standard output.
        to: the format; by default that of the path's ending. Not those that only have findings.
        findings: of ``explain``, told with the packets and calls that they rest on.
        with_payload: also what the programs sent, argument values and Unix paths.
        tls_keys: key log (SSLKEYLOGFILE) to put into a pcapng file.
        replace: an older file may stand at ``path``.

    Raises:
        UsageError: no such format; something stands at ``path``; keys for a format that has no place for them, without
            payload, or in a file that holds none.
        NotAvailable: the format needs an extra that is not installed.
        OSError: the file cannot be written.
    """
    item = FORMATS.get(to) if to is not None else format_of(path)
    if item is None:
        raise UsageError(f"there is no format {to!r}; there are {', '.join(FORMATS)}")
    if item.module is None:
        raise UsageError(f"{item.name} is made of findings: wallsocket export writes it")
    if tls_keys is not None and item.name != "pcapng":
        raise UsageError(f"TLS keys go into pcapng, not into {item.name}")
    if tls_keys is not None and not with_payload:
        raise UsageError("TLS keys go with the payload that they are for: --with-payload")
    if tls_keys is not None and _KEY.search(tls_keys) is None:
        raise UsageError("no key of a TLS session stands in that file: it has no line such as CLIENT_RANDOM …")
    module = importlib.import_module(f"{__name__}.{item.module}")
    material = Material(recording, findings, with_payload=with_payload, tls_keys=tls_keys)
    with whole(path, replace=replace) as file:
        module.write(material, file)
    return material
