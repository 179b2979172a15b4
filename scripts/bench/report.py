"""The page of `vstore report` for a store of many objects, beside `list --json` and `doctor` of the same store.

Usage: .venv/bin/python scripts/bench/report.py [--work DIR] [--objects N] [--files N] [--runs N]. The objects are
whole ones with manifests; every tenth has a root, the others are in its closure or dead.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.bench.growth import measured
from scripts.bench.objects import CHAIN, VSTORE, write_files
from vstore.objects import Kind
from vstore.store import Store

FOUND = 14  # doctor says that programs may empty a folder of temporary files


def fill(root: Path, count: int, files: int) -> None:
    """Add `count` whole objects in chains of references; the top of every second chain has a root."""
    with Store.open(root) as store:
        previous = None
        for number in range(count):
            with store.staging("bench") as staged:
                above = f"../{previous}" if previous is not None and number % CHAIN else "none"
                write_files(staged, files, f"{number} {above}\n" * (1 + number % 50))
                if above != "none":
                    (staged / "below").symlink_to(above)
                previous = store.add(staged, name=f"o{number}", kind=Kind.FRAMEWORK).path
            if number % CHAIN == CHAIN - 1 and number // CHAIN % 2 == 0:
                (root / "gcroots" / f"r{number}").symlink_to(f"../store/{previous}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-report-", dir=options.work) as work:
        root, page = Path(work, "root"), Path(work, "page.html")
        fill(root, options.objects, options.files)
        vstore = [*VSTORE, "--root", str(root)]
        commands = {"report": ["report", "-o", str(page)], "list --json": ["--json", "list"], "doctor": ["doctor"]}
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.runs):
            for name, command in commands.items():
                samples[name].append(measured([*vstore, *command], codes=(0, FOUND)))
        print(f"load {os.getloadavg()[0]:.1f}, {options.objects:,} objects of {options.files} files\n")
        print("| command | seconds | peak MiB |\n|---|---|---|")
        for name, found in samples.items():
            seconds, memory = (statistics.median(one[part] for one in found) for part in (0, 1))
            print(f"| {name} | {seconds:.2f} | {memory:.0f} |")
        print(f"\nthe page has {page.stat().st_size / 1e6:.2f} MB; goals: 3 s, 2 MB")


if __name__ == "__main__":
    main()
