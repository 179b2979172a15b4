"""Trying spoilt things against a client: what is there afterwards is right, and everything else is said in one line."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.testing.machine import Machine, machine
from scripts.testing.memory import peak_mebibytes
from vstore.errors import ArchiveError, CacheError, UsageError
from vstore.fs.trees.scan import scan
from vstore.objects import StorePath

Attempt = Callable[[Machine, random.Random, int], bool]


def library(version: int) -> dict[str, bytes]:
    """A file as it is linked again: every 200 bytes an address that has moved."""
    noise = random.Random(7)
    parts = [noise.randbytes(196) + (number * 4 + version * 4096).to_bytes(4, "big") for number in range(2000)]
    return {"lib/a.so": b"".join(parts)}


def run_tries(count: int, seed: int, folder: Path, attempt: Attempt) -> dict[str, int]:
    """Try so many; AssertionError for a wrong byte, any odd error as it is. One client is kept until it has taken."""
    taken = number = 0
    while number < count:
        with tempfile.TemporaryDirectory(dir=folder) as place, machine(Path(place)) as client:
            client.add("versioned", library(0))
            while number < count:  # in one store until something is taken
                number += 1
                if attempt(client, random.Random(seed + number), number):
                    taken += 1
                    break
    return {"tried": count, "taken": taken, "refused": count - taken}


def bring(client: Machine, way: Callable[[], object], paths: Sequence[StorePath]) -> bool:
    """Bring objects in one way; whatever is there afterwards is right. Return whether anything is."""
    client.said.warnings.clear()
    client.said.notes.clear()
    try:
        way()
    except (ArchiveError, CacheError, UsageError) as error:
        client.said.notes.append(error.message)
    assert all(said and "\n" not in said for said in (*client.said.warnings, *client.said.notes))
    there = [path for path in paths if client.store.is_valid(path)]
    for path in there:
        tree = scan(client.store.layout.object(path))
        assert StorePath.make(tree.digest, path.name) == path, "a wrong byte"
    return bool(there)


def print_tries(run: Callable[[int, int, Path], dict[str, int]]) -> None:
    """Run what the arguments say, COUNT SEED FOLDER, and print the counts and the peak of memory as JSON."""
    found = run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    sys.stdout.write(json.dumps({**found, "peak": peak_mebibytes()}) + "\n")
