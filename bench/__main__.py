"""Runs the benchmarks: each is a module of this package with ``run(rounds) -> list[Table]``; one report at the end."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import traceback
from pathlib import Path

from bench import measure

RESULTS = Path(__file__).parent / "results"
#: What is no benchmark.
_OTHERS = {"__init__", "__main__", "measure", "endpoints_server", "looking"}


def main() -> int:
    known = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _OTHERS)
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones (default: all): {', '.join(known)}")
    parser.add_argument("--rounds", type=int, default=5, help="every peer runs once in each round (default: 5)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(known):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    RESULTS.mkdir(exist_ok=True)
    status = 0
    report = ["# Measurements", "", measure.machine(), ""]
    for name in arguments.names or known:
        started = time.monotonic()
        print(f"{name}: {arguments.rounds} rounds …", file=sys.stderr, flush=True)
        measure.lacking.clear()
        try:
            with measure.Others() as others:
                tables = importlib.import_module(f"bench.{name}").run(arguments.rounds)
        except measure.Missing as error:
            report += [f"## {name}", "", f"Not measured: {error}", ""]
            continue
        except KeyboardInterrupt:
            print(f"{name}: interrupted; no report is written", file=sys.stderr)
            return 130
        except Exception:
            # One that fails must not cost the results of the others.
            traceback.print_exc()
            report += [f"## {name}", "", "Failed: the traceback is on standard error.", ""]
            status = 1
            continue
        took = time.monotonic() - started
        for table in tables:
            report += [f"## {table.title}", "", *table.markdown(), "", *table.notes, ""]
        report += [
            f"{name}: {arguments.rounds} rounds in {took:.0f} s; other programs used {others.cores:.2f} cores.",
            "",
        ]
        if measure.lacking:
            report += [f"Missing here, so not compared: {', '.join(measure.lacking)}.", ""]
        (RESULTS / f"{name}.json").write_text(json.dumps([table.data for table in tables], indent=1))
    text = "\n".join(report)
    (RESULTS / "report.md").write_text(text)
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
