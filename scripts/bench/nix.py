"""vstore beside Nix 2, on equal trees, in turns: marking, collecting, verifying, adding. Prints medians and ratios.

Usage: .venv/bin/python scripts/bench/nix.py [--work DIR] [--runs N] [--objects N] [--only NAME …]. Process start is
included on both sides. Vstore flushes what it adds, Nix 2.8 does not. Old trees are moved aside and deleted at the
end: on ext4, making files soon after deleting many is several times slower, which would be blamed on the store.
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
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.reliability.nix import ADD, NixStore, why_no_nix
from vstore.digest import hash_bytes
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.store import Store

REPOSITORY = Path(__file__).resolve().parents[2]
VSTORE = [str(Path(sys.executable).parent / "vstore"), "--no-progress", "-q"]
CHAIN = 10  # objects that refer to one another in a row; every second chain has a root
ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"


def seconds(command: list[str], environment: dict[str, str] | None = None) -> float:
    os.sync()
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


def many_in_vstore(root: Path, count: int) -> None:
    with Store.open(root) as store:
        objects, previous = [], None
        for number in range(count):
            references = (previous,) if previous is not None and number % CHAIN else ()
            digest = hash_bytes("bench", str(number).encode())
            path = StorePath.make(digest, f"c{number // CHAIN}-{number % CHAIN}")
            (root / "store" / str(path)).mkdir()
            (root / "store" / str(path) / "f").write_text(f"{references}\n")
            (root / "manifests" / str(path)).write_text("")
            info = ObjectInfo(
                path=path,
                digest=digest,
                kind=Kind.FRAMEWORK,
                size_bytes=50,
                files=1,
                references=references,
                recipe=None,
                registered_at=datetime.now(UTC).replace(microsecond=0),
            )
            objects.append((info, ()))
            previous = path
            if number % CHAIN == CHAIN - 1 and number // CHAIN % 2 == 0:
                (root / "gcroots" / f"r{number}").symlink_to(f"../store/{path}")
        store.index.register_all(objects)


def many_in_nix(nix: NixStore, count: int) -> None:
    lines, previous = [], ""
    roots = nix.folder / "var" / "gcroots" / "bench"
    roots.mkdir(parents=True)
    for number in range(count):
        reference = previous if number % CHAIN else ""
        name = "".join(ALPHABET[byte & 31] for byte in hashlib.sha256(str(number).encode()).digest())
        path = nix.folder / "store" / f"{name}-c{number // CHAIN}-{number % CHAIN}"
        path.mkdir(parents=True)
        (path / "f").write_text(f"{reference}\n")
        lines += [str(path), "", "1" if reference else "0", *([reference] if reference else [])]
        previous = str(path)
        if number % CHAIN == CHAIN - 1 and number // CHAIN % 2 == 0:
            (roots / f"r{number}").symlink_to(path)
    command = ["nix-store", "--register-validity"]
    subprocess.run(command, input="\n".join(lines) + "\n", text=True, check=True, env=nix.environment)


def marking_and_collecting(work: Path, options: argparse.Namespace) -> Iterator[dict[str, float]]:
    for number in range(options.runs):
        root, nix, plain = work / f"v{number}", NixStore(work / f"n{number}"), work / f"p{number}"
        many_in_vstore(root, options.objects)
        many_in_nix(nix, options.objects)
        shutil.copytree(root / "store", plain)
        for index, folder in enumerate(sorted(plain.iterdir())):
            if index % 2:
                folder.rename(plain.with_name(f"kept-{number}-{index}"))
        yield {
            "mark: vstore gc --dry-run": seconds([*VSTORE, "--root", str(root), "gc", "--dry-run"]),
            "mark: nix-store --gc --print-dead": seconds(["nix-store", "--gc", "--print-dead"], nix.environment),
            "collect: vstore gc": seconds([*VSTORE, "--root", str(root), "gc"]),
            "collect: nix-store --gc": seconds(["nix-store", "--gc"], nix.environment),
            "collect: rm -rf": seconds(["rm", "-rf", str(plain)]),
        }


def adding_and_verifying(work: Path, options: argparse.Namespace) -> Iterator[dict[str, float]]:
    chance, small, big = random.Random(7), work / "small", work / "big"
    for number in range(options.files):
        (small / f"pkg{number // 100:03d}").mkdir(parents=True, exist_ok=True)
        (small / f"pkg{number // 100:03d}" / f"mod{number:05d}").write_bytes(
            chance.randbytes(chance.randrange(2000, 18000))
        )
    big.mkdir()
    for number in range(40):
        (big / f"blob{number:02d}").write_bytes(chance.randbytes(options.big_bytes // 40))
    for number in range(options.runs):
        found = {}
        for name, tree in (("small", small), ("big", big)):
            root, nix = work / f"v-{name}-{number}", NixStore(work / f"n-{name}-{number}")
            keep = ["env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-c", ADD, str(root), str(tree)]
            for again in ("add", "add what is there"):
                found[f"{again} {name}: vstore"] = seconds(keep)
                found[f"{again} {name}: nix-store --add"] = seconds(["nix-store", "--add", str(tree)], nix.environment)
            found[f"verify {name}: vstore"] = seconds([*VSTORE, "--root", str(root), "verify", "--contents"])
            check = ["nix-store", "--verify", "--check-contents"]
            found[f"verify {name}: nix-store"] = seconds(check, nix.environment)
        yield found


BENCHES: dict[str, Callable[[Path, argparse.Namespace], Iterator[dict[str, float]]]] = {
    "collect": marking_and_collecting,
    "add": adding_and_verifying,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--big-bytes", type=int, default=1 << 30)
    parser.add_argument("--only", nargs="*", choices=BENCHES, default=list(BENCHES))
    options = parser.parse_args()
    if reason := why_no_nix():
        sys.exit(reason)
    medians: dict[str, float] = {}
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="bench-nix-", dir=options.work) as work:
            samples = list(BENCHES[name](Path(work), options))
            medians |= {what: statistics.median(one[what] for one in samples) for what in samples[0]}
    print(json.dumps({what: round(value, 4) for what, value in medians.items()}, indent=2))


if __name__ == "__main__":
    main()
