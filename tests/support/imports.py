"""The examples of the rules as people on other machines would have them: a log of strace, and a capture."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from wallsocket.diagnose import Finding, all_rules, diagnose
from wallsocket.diagnose.play import captured, command_of
from wallsocket.errors import UsageError
from wallsocket.trace import importing

from .ways import Alone

__all__ = ["CAPTURES", "LOGS", "TOGETHER", "UNTOLD", "findings", "played", "told_by"]

#: As docs/import.md has it.
STRACE: Final = ["strace", "-f", "-ttt", "-T", "-yy", "-s", "256", "-e", "trace=network,desc,process", "-o"]


#: In immediate mode its ring has room for so many frames of the greatest length. It keeps root's rights where it has them.
TCPDUMP: Final = [
    *("tcpdump", "-i", "any", "-s", "2048", "--immediate-mode", "-B", "16384", "-U"),
    *(["-Z", "root"] if os.geteuid() == 0 else []),
    "-w",
]
#: After the program has ended: frames are on their way to it.
LAST_FRAMES_S: Final = 0.3


def _named(examples: str) -> frozenset[str]:
    """``RULE:PROGRAM`` as paths under the examples."""
    return frozenset(one.replace(":", "/") for one in examples.split())


#: Examples whose first finding a log of strace gives as a recording of our own does.
LOGS: Final = _named(
    """
    address-in-use-inherited:broken.py both-wait:broken.py close-wait:broken.py close-wait:variant.js
    dead-address-first:broken.py descriptor-kept:broken.py dies-of-datagram:broken.py first-bytes-refused:broken.py
    listener-closed-with-queue:broken.py
    no-time-limit-for-answer:broken.py no-time-limit-for-answer:variant.c packet-protocol-swapped:variant.c
    self-connect:broken.py shutdown-waits:broken.py silent-peer:broken.py standard-descriptor:broken.py
    unix-permission:broken.py
    closed-descriptor-used:variant.py same-name-twice:broken.py tls-bytes-pending:variant.py tls-not-ended:broken.py
    address-from-answer:broken.py address-in-use-listener:broken.py address-in-use-listener:variant.js
    bind-ports-exhausted:broken.py call-in-wrong-state:broken.py call-in-wrong-state:variant.c
    chunked-not-understood:broken.py closed-descriptor-used:broken.py connect-in-progress:broken.py
    connected-before-listen:broken.py connected-before-listen:variant.js connection-per-request:broken.py
    connection-per-request:variant.go connection-per-request:variant.js connection-shared-by-fork:broken.py
    connection-timed-out:broken.py continue-unanswered:broken.py cork-left-on:broken.py cork-left-on:variant.c
    datagram-order:broken.py datagram-refused:broken.py datagram-refused:variant.js datagram-too-long:broken.py
    datagram-too-long:variant.c datagram-truncated:broken.py datagram-truncated:variant.c delimiter-missing:broken.py
    delimiter-missing:variant.js descriptor-kept:variant.c descriptor-limit:broken.py dies-of-client-reset:broken.py
    dns-answer-cut:broken.py echo-identifier-replaced:broken.py empty-datagram-as-end:broken.py end-awaited:broken.py
    end-of-stream-ignored:broken.py end-of-stream-ignored:variant.c ended-before-answer:broken.py
    failed-call-ignored:broken.py failed-call-ignored:variant.c failed-descriptor-used:broken.py
    fewer-than-announced:broken.py fewer-than-announced:variant.js foreign-echo-taken:broken.py
    foreign-group-received:broken.py forwarder-without-backend:broken.py glued-messages:broken.py
    glued-messages:variant.c group-loop-off:broken.py group-not-joined:broken.py group-not-joined:variant.js
    group-on-other-interface:broken.py half-close-taken-for-close:broken.py host-unreachable:broken.py
    host-unreachable:variant.c host-unreachable:variant.js interrupted-call:broken.py interrupted-call:variant.c
    keep-alive-race:broken.py late-answer-taken:broken.py left-before-accept:broken.py length-prefix-order:broken.py
    length-prefix-order:variant.c length-prefix-order:variant.go limit-below-wait:broken.py limit-per-call:broken.py
    linger-zero:broken.py linger-zero:variant.c link-local-without-interface:broken.py
    link-local-without-interface:variant.py listen-forgotten:broken.py listen-forgotten:variant.c
    listeners-share-port:broken.py local-filter:broken.py loopback-only:broken.py loopback-only:variant.js
    mapped-address:broken.py more-than-announced:broken.py more-than-announced:variant.js nagle-delayed-ack:broken.py
    nagle-delayed-ack:variant.js name-server-silent:broken.py network-unreachable:broken.py
    network-unreachable:variant.c network-unreachable:variant.js nobody-listens:broken.py nobody-listens:variant.js
    nobody-listens:variant.py nothing-yet-is-no-end:broken.py nothing-yet-is-no-end:variant.c
    one-recv-per-message:broken.py one-recv-per-message:variant.c only-inet6:broken.py option-too-late:broken.py
    option-too-late:variant.c other-ip-version:broken.py other-ip-version:variant.js
    packet-protocol-swapped:broken.py passed-descriptors:broken.py peer-process-died:broken.py port-shared:broken.py
    port-shared:variant.js protocols-differ:broken.py protocols-differ:variant.go proxy-header-unexpected:broken.py
    proxy-holds-back:broken.py raw-socket-forbidden:broken.py ready-ignored:broken.py records-of-two-sizes:broken.py
    request-through-proxy:broken.py request-to-itself:broken.py second-receiver-refused:broken.py
    select-limit:broken.py short-send:broken.py short-send:variant.c socket-pileup:broken.py socket-pileup:variant.c
    source-is-loopback:broken.py source-is-loopback:variant.py swapped-port:broken.py swapped-port:variant.c
    threads-share-stream:broken.py time-limit-too-short:broken.py tiny-calls:broken.py tiny-calls:variant.c
    tls-bytes-pending:broken.py two-readers:broken.py two-readers:variant.c unix-backlog-full:broken.py
    unix-datagram-no-room:broken.py unix-name-differs:broken.py unix-path-rebound:broken.py
    watched-after-close:broken.py writable-spin:broken.py write-after-peer-closed:broken.py
    write-after-peer-closed:variant.c
    """
)

#: The same of a capture alone.
CAPTURES: Final = _named(
    """
    datagram-refused:broken.py datagram-refused:variant.js firewall-refuses:broken.py firewall-refuses:variant.py
    host-unreachable:broken.py host-unreachable:variant.c host-unreachable:variant.js keep-alive-race:broken.py
    nagle-delayed-ack:broken.py nagle-delayed-ack:variant.js name-server-silent:broken.py nobody-listens:broken.py
    nobody-listens:variant.js nobody-listens:variant.py path-mtu-black-hole:broken.py protocols-differ:broken.py
    segments-lost:broken.py slow-reader:broken.py slow-reader:variant.c slow-reader:variant.go
    syn-unanswered:broken.py syn-unanswered:variant.c syn-unanswered:variant.go syn-unanswered:variant.js
    write-after-peer-closed:broken.py write-after-peer-closed:variant.c connection-reset:broken.py
    connection-forgotten:broken.py tls-alert:broken.py name-lookup-fails:broken.py
    """
)


#: What neither tells alone, but both together.
TOGETHER: Final = _named(
    """
    answer-from-another-address:broken.py close-with-unread-data:broken.py close-with-unread-data:variant.c
    datagrams-to-nobody:broken.py datagrams-to-nobody:variant.c sent-before-bound:broken.py
    """
)

#: Why nothing from another machine tells the rest, as docs/import.md has it.
UNTOLD: Final = {
    "what a socket was: its queues, its options in force": """
    accept-queue-full answers-unread backlog-cut buffer-clamped edge-not-drained hangup-before-data
    listener-not-served one-shot-spent receive-buffer-overflow
    window-fixed
    """,
    "what a running program does, looked at more than once": """
    accept-queue-stands connect-unanswered kept-open-elsewhere lock-held-in-wait lock-of-parent loop-blocked
    loop-not-woken loop-stands peer-does-not-read peer-unreachable pipe-stands unread-data waits-for-itself
    waits-for-name-server
    """,
    "what the host counted": "checksum-rejected fragments-lost reverse-path-filter syn-queue-full",
    "what the host was: its addresses, routes, ports, limits, policies, the program's environment": """
    address-in-use-time-wait address-not-local broadcast-not-allowed group-hop-limit inet6-off limited-broadcast
    local-ports-exhausted other-network-namespace port-in-local-range privileged-port proxy-from-environment
    security-policy stale-unix-path tentative-address wrong-device
    """,
    "lines of the program": "socket-dropped socket-not-kept",
    "the end of a long read, which `strace -s 256` cuts off": "character-cut",
    "which frames its raw socket sent: nothing joins them with its calls": "own-stack-resets",
}


def told_by() -> dict[str, list[str]]:
    """Rules by what of another machine tells their cause, as docs/import.md lists them."""
    logs, captures, together = ({name.partition("/")[0] for name in names} for names in (LOGS, CAPTURES, TOGETHER))
    told: dict[str, list[str]] = {"either": [], "a log": [], "a capture": [], "only both": []}
    for rule in sorted(rule.id for rule in all_rules()):
        pair = rule in logs, rule in captures
        what = {(True, True): "either", (True, False): "a log", (False, True): "a capture"}.get(pair)
        if what is None and rule in together:
            what = "only both"
        if what is not None:
            told[what].append(rule)
    return told


def played(path: Path, folder: Path) -> tuple[Path, Path]:
    """Play an example under strace while its network is captured, by tcpdump where that is installed; the log and the capture."""
    log, capture = folder / "strace.log", folder / "talk.pcap"
    words = [*STRACE, str(log), *command_of(path, folder)]
    quiet: dict[str, Any] = {"timeout": 100, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with Alone(path.parent) as stage:
        if shutil.which("tcpdump") is None:
            captured(stage, words, capture, **quiet)
            return log, capture
        with stage.popen(
            [*TCPDUMP, str(capture)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as tcpdump:
            assert tcpdump.stderr is not None
            try:
                said = ""
                while "listening on" not in said:
                    said = tcpdump.stderr.readline()
                    if not said:
                        raise UsageError("tcpdump does not listen")
                stage.run(words, **quiet)
                # It writes what it has taken from its ring, and ends.
                time.sleep(LAST_FRAMES_S)
            finally:
                tcpdump.send_signal(signal.SIGINT)
    return log, capture


def findings(*paths: Path) -> tuple[Finding, ...]:
    """What the rules say of files."""
    with importing.open_files(paths) as recording:
        return diagnose(recording).findings
