"""How long a plan takes when processes build its layers, beside threads: wall seconds in pairs, medians.

Usage: .venv/bin/python -m scripts.bench.cluster [SPEC] [--runs N] [--processes N] [--work DIR]. The spec is that of the
README's example by default, for this machine. It is locked once, and needs the package index for that. Before each run
the store has uv's cache and the interpreter, but no layer.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.bench.environment import ENVIRONMENT, REPOSITORY

VSTORE = [sys.executable, "-c", "from vstore.cli import main; main()"]
PROFILE = "measured"


def run(root: Path, *arguments: str) -> str:
    """Run a command on a store, and return its JSON document."""
    command = [*VSTORE, "--root", str(root), "--json", "-q", *arguments]
    return subprocess.run(command, check=True, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True).stdout


def prepare(root: Path, spec: Path) -> None:
    """Fill uv's cache and adopt the interpreter, then delete all layers."""
    layers = json.loads(run(root, "realise", str(spec), "--profile", PROFILE))["layers"]
    for layer in layers:
        if layer["kind"] == "interpreter":
            run(root, "roots", "add", layer["path"])
    run(root, "forget", PROFILE, "--all")
    run(root, "gc")
    assert {row["kind"] for row in json.loads(run(root, "list"))} <= {"interpreter"}


def seconds(base: Path, root: Path, spec: Path, *options: str) -> float:
    """Return the wall seconds of building all layers in a copy of a store."""
    shutil.copytree(base, root, symlinks=True)
    started = time.perf_counter()
    run(root, "realise", str(spec), "--locked", "--profile", PROFILE, *options)
    taken = time.perf_counter() - started
    subprocess.run(["chmod", "-R", "u+w", str(root)], check=True)
    shutil.rmtree(root)
    return taken


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", nargs="?", type=Path, default=REPOSITORY / "examples" / "sklearn" / "spec.toml")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    place = f"local[{given.processes}]"
    with tempfile.TemporaryDirectory(dir=given.work) as temporary:
        work = Path(temporary)
        shutil.copytree(given.spec.parent, work / "project")
        spec, base = work / "project" / given.spec.name, work / "base"
        prepare(base, spec)
        pairs = [
            (seconds(base, work / "root", spec), seconds(base, work / "root", spec, "--on", place))
            for _ in range(given.runs + 1)
        ][1:]
    for number, (threads, processes) in enumerate(pairs, start=1):
        print(f"{number}: threads {threads:.2f} s, {place} {processes:.2f} s")
    threads, processes = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"medians: threads {threads:.2f} s, {place} {processes:.2f} s, {processes / threads:.2f} times")


if __name__ == "__main__":
    main()
