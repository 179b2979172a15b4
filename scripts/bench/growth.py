"""How cost grows with the number of objects: listing, marking and collecting half, with the peak of memory.

Usage: .venv/bin/python scripts/bench/growth.py [--work DIR] [--objects N …] [--runs N] [--json]. Each is a command in
a process of its own, its start included. Beside one more collection, a process adds small objects: what 99 of 100
waited for the collector at most, and took altogether.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.bench.objects import VSTORE, adds_beside_a_collection, fill, percentile


def measured(command: list[str], codes: tuple[int, ...] = (0,)) -> tuple[float, float]:
    """Wall seconds and the peak of memory in MiB of one process, which ends with one of these exit codes."""
    started = time.perf_counter()
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen(command, stdout=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in codes, command
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def at(work: Path, count: int, runs: int) -> dict[str, float]:
    """The measures of one size, medians; the store is made anew for each run."""
    samples: list[dict[str, float]] = []
    for number in range(runs):
        root = work / f"{count}-{number}"
        fill(root, count)
        vstore = [*VSTORE, "--root", str(root)]
        found: dict[str, float] = {}
        for name, command in (("list", ["--json", "list"]), ("mark", ["gc", "--dry-run"]), ("collect", ["gc"])):
            found[f"{name} seconds"], found[f"{name} MiB"] = measured([*vstore, *command])
        samples.append(found)
    fill(work / f"{count}-beside", count)
    beside = adds_beside_a_collection(work / f"{count}-beside")
    medians = {what: statistics.median(sample[what] for sample in samples) for what in samples[0]}
    return {
        **medians,
        "adds beside": len(beside["waited"]),
        "waited p99 ms": 1000 * percentile(beside["waited"], 99),
        "add p99 ms": 1000 * percentile(beside["took"], 99),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--objects", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-growth-", dir=options.work) as work:
        columns = {count: at(Path(work), count, options.runs) for count in options.objects}
    if options.json:
        print(json.dumps({str(count): column for count, column in columns.items()}, indent=2))
        return
    print(f"load {' '.join(f'{one:.1f}' for one in os.getloadavg())}\n")
    print("| objects |", *(f"{count:,} |" for count in columns))
    print("|---|" + "---|" * len(columns))
    for what in next(iter(columns.values())):
        print(f"| {what} |", *(f"{column[what]:.3g} |" for column in columns.values()))


if __name__ == "__main__":
    main()
