"""vstore beside Nix 2, on equal trees, in turns: marking, collecting, verifying, adding. Ratios with their goals.

Usage: .venv/bin/python scripts/bench/nix.py [--work DIR] [--runs N] [--only NAME …] [--json]. Medians, process start
included on both sides. vstore flushes what it adds, Nix 2.8 does not. Who goes first changes from run to run. Old trees
stay until the end: on ext4, making files soon after deleting many is several times slower, which would be blamed on
the store.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.bench.objects import (
    ADD,
    CHAIN,
    HASH,
    VSTORE,
    adds_beside_a_collection,
    fill,
    percentile,
    program,
    write_files,
)
from scripts.reliability.crashes.nix import NixStore, why_no_nix

ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"
Command = tuple[list[str], dict[str, str] | None]
Sample = dict[str, float]
PRINT_DEAD, NIX_GC, RM = "nix-store --gc --print-dead", "nix-store --gc", "rm -rf"
ADD_NIX, CHECK = "nix-store --add", "nix-store --verify --check-contents"
GOALS = [  # what vstore does, beside what, at most how many times its seconds
    ("mark 10,000 objects", PRINT_DEAD, 0.2),
    ("collect 5,000 tiny objects", NIX_GC, 0.5),
    ("collect 5,000 tiny objects", RM, 1.0),
    ("collect 1,000 objects of 50 files", NIX_GC, 1.0),
    ("collect 1,000 objects of 50 files", RM, 0.5),
    ("verify 20,000 small files", CHECK, 1.0),
    ("verify 1 GiB", CHECK, 1.0),
    ("add 20,000 small files", ADD_NIX, 1.0),
    ("add 1 GiB", ADD_NIX, 1.0),
    ("add 20,000 small files that are there", "hashing", 1.1),
    ("add 1 GiB that is there", "hashing", 1.1),
    ("wait 99 of 100 times beside a collection", "a limit", 1.0),
]


def seconds(command: list[str], environment: dict[str, str] | None = None) -> float:
    os.sync()
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


def in_turns(number: int, what: str, commands: dict[str, Command]) -> Sample:
    """Seconds of each, whoever's turn it is to begin first."""
    names = list(commands)
    turn = number % len(names)
    return {f"{what} / {name}": seconds(*commands[name]) for name in names[turn:] + names[:turn]}


def fill_nix(nix: NixStore, count: int, files: int) -> None:
    """Make the objects of `fill` in a store of Nix."""
    lines, previous = [], ""
    roots = nix.folder / "var" / "gcroots" / "bench"
    roots.mkdir(parents=True)
    for number in range(count):
        reference = previous if number % CHAIN else ""
        name = "".join(ALPHABET[byte & 31] for byte in hashlib.sha256(str(number).encode()).digest())
        path = nix.folder / "store" / f"{name}-c{number // CHAIN}-{number % CHAIN}"
        write_files(path, files, f"{reference}\n")
        lines += [str(path), "", "1" if reference else "0", *([reference] if reference else [])]
        previous = str(path)
        if number % CHAIN == CHAIN - 1 and number // CHAIN % 2 == 0:
            (roots / f"r{number}").symlink_to(path)
    command = ["nix-store", "--register-validity"]
    subprocess.run(command, input="\n".join(lines) + "\n", text=True, check=True, env=nix.environment)


def collecting(work: Path, runs: int, what: str, count: int, files: int) -> Iterator[Sample]:
    for number in range(runs):
        root, nix, plain = work / f"v{number}", NixStore(work / f"n{number}"), work / f"p{number}"
        fill(root, count, files=files)
        fill_nix(nix, count, files)
        shutil.copytree(nix.folder / "store", plain)
        for folder in plain.iterdir():
            if folder.name.startswith(".") or int(folder.name.rpartition("-c")[2].split("-")[0]) % 2 == 0:
                folder.rename(work / f"kept-{number}-{folder.name}")
        vstore = [*VSTORE, "--root", str(root)]
        found: Sample = {}
        if files == 1:
            marks: dict[str, Command] = {
                "vstore": ([*vstore, "gc", "--dry-run"], None),
                PRINT_DEAD: (["nix-store", "--gc", "--print-dead"], nix.environment),
            }
            found = in_turns(number, "mark 10,000 objects", marks)
        collects: dict[str, Command] = {
            "vstore": ([*vstore, "gc"], None),
            NIX_GC: (["nix-store", "--gc"], nix.environment),
            RM: (["rm", "-rf", str(plain)], None),
        }
        yield found | in_turns(number, what, collects)


def tiny(work: Path, runs: int) -> Iterator[Sample]:
    return collecting(work, runs, "collect 5,000 tiny objects", 10_000, 1)


def larger(work: Path, runs: int) -> Iterator[Sample]:
    return collecting(work, runs, "collect 1,000 objects of 50 files", 2_000, 50)


def make_trees(work: Path) -> dict[str, Path]:
    chance = random.Random(7)
    small, big = work / "small", work / "big"
    for number in range(20_000):
        folder = small / f"pkg{number // 100:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"mod{number:05d}").write_bytes(chance.randbytes(chance.randrange(2000, 18000)))
    big.mkdir()
    for number in range(40):
        (big / f"blob{number:02d}").write_bytes(chance.randbytes((1 << 30) // 40))
    return {"20,000 small files": small, "1 GiB": big}


def adding(work: Path, runs: int) -> Iterator[Sample]:
    trees = make_trees(work)
    for number in range(runs):
        found: Sample = {}
        for name, tree in trees.items():
            root, nix = work / f"v-{tree.name}-{number}", NixStore(work / f"n-{tree.name}-{number}")
            add, again = program(ADD, root, tree), ["nix-store", "--add", str(tree)]
            check = ["nix-store", "--verify", "--check-contents"]
            found |= in_turns(number, f"add {name}", {"vstore": (add, None), ADD_NIX: (again, nix.environment)})
            there: dict[str, Command] = {"vstore": (add, None), "hashing": (program(HASH, tree), None)}
            found |= in_turns(number, f"add {name} that are there".replace("GiB that are", "GiB that is"), there)
            verify = [*VSTORE, "--root", str(root), "verify", "--contents"]
            found |= in_turns(number, f"verify {name}", {"vstore": (verify, None), CHECK: (check, nix.environment)})
        yield found


def waiting(work: Path, runs: int) -> Iterator[Sample]:
    for number in range(runs):
        root = work / f"w{number}"
        fill(root, 4_000, files=50)
        waited = percentile(adds_beside_a_collection(root)["waited"], 99)
        yield {f"{GOALS[-1][0]} / vstore": waited, f"{GOALS[-1][0]} / a limit": 0.1}


BENCHES: dict[str, Callable[[Path, int], Iterator[Sample]]] = {
    "tiny": tiny,
    "larger": larger,
    "add": adding,
    "wait": waiting,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=BENCHES, default=list(BENCHES))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if reason := why_no_nix():
        sys.exit(reason)
    medians: Sample = {}
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="bench-nix-", dir=options.work) as work:
            samples = list(BENCHES[name](Path(work), options.runs))
            medians |= {what: statistics.median(one[what] for one in samples) for what in samples[0]}
    if options.json:
        print(json.dumps({what: round(value, 4) for what, value in medians.items()}, indent=2))
        return
    print(f"load {' '.join(f'{one:.1f}' for one in os.getloadavg())}\n")
    print("| what | vstore | beside | | ratio | goal | met |\n|---|---|---|---|---|---|---|")
    for what, other, goal in GOALS:
        if f"{what} / vstore" in medians:
            ours, theirs = medians[f"{what} / vstore"], medians[f"{what} / {other}"]
            ratio = ours / theirs
            met = "yes" if ratio <= goal else "no"
            print(f"| {what} | {ours:.2f} s | {other} | {theirs:.2f} s | {ratio:.2f} | {goal} | {met} |")


if __name__ == "__main__":
    main()
