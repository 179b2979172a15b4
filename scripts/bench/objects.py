"""Stores of many small objects for benches, adding a tree that lies outside, and adding while a collection runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from vstore.digest import hash_bytes
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.store import Provenance, Store

REPOSITORY = Path(__file__).resolve().parents[2]
VSTORE = [str(Path(sys.executable).parent / "vstore"), "--no-progress", "-q"]
CHAIN = 10  # objects that refer to one another in a row; every second chain has a root

# What is there already is only hashed; else the tree is copied, hashed again as it lies in the store, and registered.
ADD = """
import subprocess, sys
from pathlib import Path
from vstore.fs.trees.scan import scan
from vstore.objects import Kind, StorePath
from vstore.store import Store
with Store.open(Path(sys.argv[1])) as store:
    path = StorePath.make(scan(Path(sys.argv[2])).digest, "added")
    store.add_temp_root(path)
    if not store.is_valid(path):
        with store.staging("added") as staged:
            subprocess.run(["cp", "-rT", sys.argv[2], staged], check=True)
            assert store.add(staged, name="added", kind=Kind.FRAMEWORK).path == path
"""

HASH = (
    "import sys; from pathlib import Path; from vstore.fs.trees.scan import scan; print(scan(Path(sys.argv[1])).digest)"
)

# Adds small objects until told to stop, one after another; what each waited for the collector's lock, and took at all.
BESIDE = """
import json, os, select, sys, time
from pathlib import Path
from vstore.digest import hash_bytes
from vstore.objects import Kind, StorePath
from vstore.store import Store
waited, took = [], []
with Store.open(Path(sys.argv[1])) as store:
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        token = os.urandom(8)
        started = time.perf_counter()
        store.add_temp_root(StorePath.make(hash_bytes("bench", token), "beside"))
        named = time.perf_counter()
        with store.staging("beside") as staged:
            (staged / "f").write_bytes(token)
            store.add(staged, name="beside", kind=Kind.FRAMEWORK)
        waited.append(named - started)
        took.append(time.perf_counter() - named)
print(json.dumps({"waited": waited, "took": took}))
"""


def program(code: str, *arguments: object) -> list[str]:
    """A Python process of its own that finds vstore."""
    return ["env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-c", code, *map(str, arguments)]


def object_names(count: int) -> list[StorePath]:
    digests = (hash_bytes("bench", str(number).encode()) for number in range(count))
    return [StorePath.make(digest, f"c{number // CHAIN}-{number % CHAIN}") for number, digest in enumerate(digests)]


def write_files(folder: Path, files: int, text: str) -> None:
    """One file, or several in five folders."""
    for number in range(files):
        place = folder / f"d{number % 5}" if files > 1 else folder
        place.mkdir(parents=True, exist_ok=True)
        (place / f"f{number}").write_text(text)


def fill(root: Path, count: int, *, files: int = 1) -> None:
    """`count` objects in chains, registered in one transaction; half of them have a root."""
    with Store.open(root) as store:
        objects, previous = [], None
        for number, path in enumerate(object_names(count)):
            references = (previous,) if previous is not None and number % CHAIN else ()
            write_files(root / "store" / str(path), files, f"{references}\n")
            (root / "manifests" / str(path)).write_text(f"{path}\n")  # frees a block when it goes, as a real one
            info = ObjectInfo(
                path=path,
                digest=hash_bytes("bench", str(number).encode()),
                kind=Kind.FRAMEWORK,
                size_bytes=50 * files,
                files=files,
                references=references,
                recipe=None,
                registered_at=datetime.now(UTC).replace(microsecond=0),
            )
            objects.append((info, Provenance()))
            previous = path
            if number % CHAIN == CHAIN - 1 and number // CHAIN % 2 == 0:
                (root / "gcroots" / f"r{number}").symlink_to(f"../store/{path}")
        store.objects.register_all(objects)


def adds_beside_a_collection(root: Path) -> dict[str, list[float]]:
    """Seconds that adds took and waited for the collector's lock, from before a collection begins until it ends."""
    pipe = subprocess.PIPE
    with subprocess.Popen(program(BESIDE, root), stdin=pipe, stdout=pipe, text=True) as adder:
        assert adder.stdin is not None and adder.stdout is not None
        adder.stdout.readline()
        time.sleep(0.2)
        subprocess.run([*VSTORE, "--root", str(root), "gc"], check=True, stdin=subprocess.DEVNULL)
        found: dict[str, list[float]] = json.loads(adder.communicate("stop\n")[0])
    return found


def percentile(values: list[float], hundredth: int) -> float:
    return sorted(values)[min(len(values) * hundredth // 100, len(values) - 1)]
