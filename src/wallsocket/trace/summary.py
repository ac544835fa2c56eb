"""What a trace says at its end, for people."""

from __future__ import annotations

import math
import sys

from .run import ALL_PAYLOAD, RunResult
from .verdict import amount

__all__ = ["describe", "say", "stopped_calls"]


def describe(result: RunResult, findings: int | None = None) -> str:
    """The summary for people, at most 15 lines."""
    milliseconds = result.duration_ns / 1e6
    who = "program" if result.attached else "command"
    lines = [
        f"wallsocket: {amount(result.calls, 'call')} on {amount(result.sockets, 'socket')} in {milliseconds:,.0f} ms"
        + {"exit": f"; exit status {result.exit_status}", "guardian died": ""}.get(
            result.end,
            f"; recording ended: {result.end}, the {who} runs on"
            if result.end != "killed"
            else "; the command was ended",
        )
    ]
    if findings is None:
        lines.append("  findings: not looked for while it ran, to keep up with it; wallsocket explain does")
    elif findings:
        lines.append(f"  findings: {findings} so far; wallsocket explain has all")
    lines.append(f"  recording: {result.path}")
    if result.via == "preload" and (result.preloaded or result.only_stopped or result.cut_off_ns is None):
        stopped = f"; {result.only_stopped} by ptrace alone, marks of kind via say why" if result.only_stopped else ""
        lines.append(f"  via preload in {amount(result.preloaded, 'program')}{stopped}")
    lines.extend(f"  not recorded: {name}: {reason}" for name, reason in result.missing.items())
    if result.lines_missing is not None:
        lines.append(f"  {result.lines_missing}")
    if result.shortened:
        calls = f"{result.shortened} calls" if result.shortened > 1 else "1 call"
        lines.append(f"  of {calls} only the first {ALL_PAYLOAD >> 20} MiB were kept; the length of each is recorded")
    if result.cut_off_ns is not None:
        lines.append(
            f"  cut off at {result.cut_off_ns / 1e9:.3f} s: {result.lost} events are missing, and rules cannot tell what "
            "they would have shown"
        )
    elif result.lost:
        lines.append(f"  {result.lost} events lost: the recorder did not keep up")
    if result.calls and result.added_ns_per_call:
        lines.append(f"  {_cost(result)}")
        saved_ns = result.on_one_core_saves_ns
        far = result.calls - result.near_calls
        # Below these it is not worth the cores that the command would lose.
        if result.via == "ptrace" and saved_ns >= 30_000 and far * saved_ns >= result.duration_ns / 10:
            lines.append(f"  of it {far} calls waited about {saved_ns / 1000:.0f} µs each for another core: --one-core")
    if result.failure is not None:
        lines.append(f"  {result.failure}")
    return "\n".join(lines)


def stopped_calls(calls: int, stops: int) -> int:
    """How many calls bore what tracing cost: those recorded, or all that stopped twice, where many others do as well."""
    return stops // 2 if stops >= 3 * calls else calls


def _cost(result: RunResult) -> str:
    """What tracing added, in one line. Threads run side by side, and some of them only wait: the run is longer by no more."""
    total_ns = result.calls * result.added_ns_per_call
    stopped = stopped_calls(result.calls, result.stops)
    each_us = total_ns / stopped / 1000
    text = f"tracing added about {each_us:.{0 if each_us >= 1 else 1}f} µs × {amount(stopped, 'call')}"
    if stopped > result.calls:
        text += f" (all that stopped; {result.calls} concern sockets)"
    if total_ns <= result.duration_ns:
        percent = 100 * total_ns / max(result.duration_ns, 1)
        return f"{text}, {f'at most {math.ceil(percent)}' if percent >= 1 else 'less than 1'} % of the run"
    return f"{text} = {total_ns / 1e6:,.0f} ms in threads side by side"


def say(text: str) -> None:
    """Print for people, on stderr: stdout is the command's."""
    print(text, file=sys.stderr, flush=True)
