"""Measures a collection: marking and un-indexing, the time under the lock, unlinking against `rm -rf` of equal trees.

    scripts/python scripts/bench/gc.py [--objects N] [--files N] [--rounds N] [--work DIR] [--json]

Half of the objects are dead. Medians over the rounds; in each the order of the two removals changes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from vstore import gc
from vstore.digest import hash_bytes
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.report import Silent
from vstore.store import Store

_CHAIN = 10  # objects that refer one to the next


class Stages(Silent):
    """Notes when unlinking began, which is after the lock was released."""

    def __init__(self) -> None:
        self.unlinking_since = 0.0

    def stage(self, subject: str, activity: str, done: int = 0, total: int = 0) -> None:
        if activity == "unlinking" and not done:
            self.unlinking_since = time.perf_counter()


def fill(store: Store, objects: int, files: int) -> list[StorePath]:
    """Register chains of objects, every second chain with a root; returns the dead, which have trees."""
    now = datetime.now(UTC)
    infos: list[tuple[ObjectInfo, tuple[bytes, ...]]] = []
    dead = []
    for number in range(objects):
        digest = hash_bytes("bench object", str(number).encode())
        path = StorePath.make(digest, f"framework-{number}")
        below = (infos[-1][0].path,) if number % _CHAIN else ()
        infos.append((_info(path, below, now), ()))
        if number % (2 * _CHAIN) < _CHAIN:
            dead.append(path)
            make_tree(store.layout.object(path), files)
        else:
            store.layout.object(path).mkdir(mode=0o555)
            if number % _CHAIN == _CHAIN - 1:
                (store.layout.gcroots / f"r{number}").symlink_to(f"../store/{path}")
        store.layout.manifest(path).touch()
    store.index.register_all(infos)
    return dead


def _info(path: StorePath, below: tuple[StorePath, ...], now: datetime) -> ObjectInfo:
    return ObjectInfo(
        path=path,
        digest=hash_bytes("bench object", path.name.removeprefix("framework-").encode()),
        kind=Kind.FRAMEWORK,
        size_bytes=1,
        files=1,
        references=below,
        recipe=None,
        registered_at=now,
    )


def make_tree(folder: Path, files: int) -> None:
    """As an object is: folders of ten small files, read-only."""
    folder.mkdir(parents=True)
    for number in range(files):
        place = folder / f"d{number // 10}"
        if number % 10 == 0:
            place.mkdir()
        (place / f"f{number}").write_bytes(b"some text\n" * 20)
    for place in (*folder.iterdir(), folder):
        place.chmod(0o555)


def one_round(work: Path, objects: int, files: int, rm_first: bool) -> dict[str, float]:
    """Seconds of each part."""
    with Store.open(work / "root") as store:
        dead = fill(store, objects, files)
        for path in dead:
            make_tree(work / "equal" / str(path), files)
        subprocess.run(["sync"], check=True)
        started = time.perf_counter()
        plan = gc.plan_collection(store)
        marked = time.perf_counter() - started
        assert set(plan.dead) == set(dead)
        removed = _rm(work) if rm_first else 0.0
        stages = Stages()
        started = time.perf_counter()
        done = gc.collect(store, report=stages)
        ended = time.perf_counter()
        assert done.deleted == plan.dead
        removed = removed or _rm(work)
        return {
            "mark": marked,
            "locked": stages.unlinking_since - started,
            "unlink": ended - stages.unlinking_since,
            "rm": removed,
            "un_index": _un_index(work / "again", objects),
        }


def _un_index(root: Path, objects: int) -> float:
    """Seconds to mark and remove the rows, without the folders."""
    with Store.open(root) as store:
        fill(store, objects, 0)
        started = time.perf_counter()
        store.index.forget(gc.plan_collection(store).dead)
        return time.perf_counter() - started


def _rm(work: Path) -> float:
    started = time.perf_counter()
    subprocess.run(["rm", "-rf", work / "equal"], check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=10, help="in each dead object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, help="folder to work in")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rounds = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="bench-gc-", dir=options.work) as folder:
            rounds.append(one_round(Path(folder), options.objects, options.files, rm_first=bool(number % 2)))
    median = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    ratio = statistics.median(one["unlink"] / one["rm"] for one in rounds)
    rows = [
        {"name": "mark", "seconds": median["mark"], "goal": ""},
        {"name": "mark and un-index", "seconds": median["un_index"], "goal": "< 0.3 s"},
        {"name": "all under the lock", "seconds": median["locked"], "goal": ""},
        {"name": "unlink", "seconds": median["unlink"], "goal": "<= 1.2 rm", "ratio": ratio},
        {"name": "rm -rf of equal trees", "seconds": median["rm"], "goal": ""},
    ]
    if options.json:
        print(
            json.dumps({"objects": options.objects, "files": options.files, "rows": rows, "rounds": rounds}, indent=2)
        )
        return
    print("| what | seconds | ratio | goal |\n|---|---|---|---|")
    for row in rows:
        times = f"{row['ratio']:.2f}" if "ratio" in row else ""
        print(f"| {row['name']} | {row['seconds']:.3f} | {times} | {row['goal']} |")


if __name__ == "__main__":
    main()
