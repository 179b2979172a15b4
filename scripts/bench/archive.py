"""Archives in numbers: packing and unpacking a tree against tar and its compressors, in the same run, medians.

Usage: .venv/bin/python scripts/bench/archive.py TREE [--runs N] [--best] [--work DIR]
TREE is any folder, such as a site-packages with some wheels in it. Both wall and CPU time are printed: on a busy
machine the ratio of CPU times is the steadier one. ``--best`` also packs as xz does, which takes minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
OURS = """
import sys
from pathlib import Path
from vstore.archive import Compression, Packer, unpack
from vstore.fs.trees.manifest import Manifest
verb, manifest, tree, archive, compression, level, jobs = sys.argv[1:]
expected = Manifest.decode(Path(manifest).read_bytes())
if verb == "pack":
    packer = Packer(Compression(compression), level=int(level), jobs=int(jobs))
    packer.pack(Path(tree), expected, Path(archive), name="0123456789abcdfghijklmnpqrsvwxyz-bench")
elif verb == "unpack":
    unpack(Path(archive), Path(tree), expected=expected)
"""


def measured(command: list[str] | str) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and peak memory (KiB, of the largest process) of a command and its children."""
    report = (
        "import resource; u = resource.getrusage(resource.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime, u.ru_maxrss)"
    )
    code = (
        f"import subprocess, sys; subprocess.run({command!r}, shell={isinstance(command, str)}, check=True)\n{report}"
    )
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    cpu, peak = said.stdout.split()
    return time.perf_counter() - started, float(cpu), int(peak)


def in_turns(runs: int, work: Path, commands: dict[str, list[str] | str]) -> dict[str, tuple[float, float, int]]:
    """Medians of wall and CPU time and the highest peak, taken in turns; ``out`` is emptied before each."""
    samples: dict[str, list[tuple[float, float, int]]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            subprocess.run(f"chmod -R u+w {work}/out 2>/dev/null; rm -rf {work}/out", shell=True, check=True)
            samples[name].append(measured(command))
    return {
        name: (statistics.median(s[0] for s in one), statistics.median(s[1] for s in one), max(s[2] for s in one))
        for name, one in samples.items()
    }


def show(title: str, found: dict[str, tuple[float, float, int]], sizes: dict[str, int]) -> None:
    baseline = next(iter(found.values()))
    print(f"\n| {title} | wall | CPU | wall ratio | CPU ratio | peak memory | size |\n|---|---|---|---|---|---|---|")
    for name, (wall, cpu, peak) in found.items():
        size = f"{sizes[name] / 1e6:.1f} MB" if name in sizes else ""
        print(
            f"| {name} | {wall:.2f} s | {cpu:.2f} s | {wall / baseline[0]:.2f} | {cpu / baseline[1]:.2f}"
            f" | {peak >> 10} MiB | {size} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--best", action="store_true")
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    sys.path.insert(0, str(REPOSITORY))
    from vstore.fs.trees.scan import scan

    with tempfile.TemporaryDirectory(prefix="bench-archive-", dir=options.work) as folder:
        work, tree = Path(folder), options.tree.resolve()
        (work / "manifest").write_bytes(scan(tree).encoded)

        def ours(verb: str, archive: str, compression: str = "zst", level: int = 3, jobs: int = 2) -> list[str]:
            place = str(tree if verb == "pack" else work / "out")
            fields = [str(work / "manifest"), place, str(work / archive), compression, str(level), str(jobs)]
            return [sys.executable, "-c", OURS, verb, *fields]

        tar = f"tar -C {tree} --sort=name -cf - ."
        packing: dict[str, list[str] | str] = {
            "tar, zstd -3": f"{tar} | zstd -q -3 -c > {work}/tar.zst",
            "pack": ours("pack", "ours.zst"),
            "pack, one job": ours("pack", "ours-1.zst", jobs=1),
        }
        files = {"tar, zstd -3": "tar.zst", "pack": "ours.zst", "pack, one job": "ours-1.zst"}
        found = in_turns(options.runs, work, packing)
        show("packing", found, {name: (work / file).stat().st_size for name, file in files.items()})
        unpacking: dict[str, list[str] | str] = {
            "zstd -d, tar x": f"mkdir {work}/out && zstd -dqc {work}/ours.zst | tar -C {work}/out -xf -",
            "unpack": ours("unpack", "ours.zst"),
            "start alone": ours("", "ours.zst"),
        }
        show("unpacking", in_turns(options.runs, work, unpacking), {})
        if options.best:
            slow: dict[str, list[str] | str] = {"tar, xz -6": f"{tar} | xz -6 -T1 -c > {work}/tar.xz"}
            slow |= {f"zst {level}": ours("pack", f"{level}.zst", level=level) for level in (10, 19)}
            slow["xz 6"] = ours("pack", "ours.xz", "xz", 6)
            files = {"tar, xz -6": "tar.xz", "zst 10": "10.zst", "zst 19": "19.zst", "xz 6": "ours.xz"}
            found = in_turns(1, work, slow)
            show("small archives", found, {name: (work / file).stat().st_size for name, file in files.items()})
        subprocess.run(f"chmod -R u+w {work}", shell=True, check=True)


if __name__ == "__main__":
    main()
