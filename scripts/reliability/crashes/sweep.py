"""Ending or failing real processes at a chosen step, and checking what they leave."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.reliability.crashes.exchange import NAMES
from scripts.reliability.crashes.promises import check_intact, check_nothing_left
from scripts.testing.machine import TRUST
from scripts.testing.trees import add
from vstore.fs.faults import Point
from vstore.fs.trees.removal import remove_tree
from vstore.remote import open_cache, verify_cache
from vstore.reporter import NullReporter
from vstore.store import Store, add_root
from vstore.store.health.reindex import reindex
from vstore.store.health.verify import verify

EXCHANGE_POINTS = tuple(point for point in Point if point.startswith(("push-", "pull-")))
OVERLAY_POINTS = (Point.GC_IN_PLACE,)  # reached only where folders cannot be moved
OPTIMISE_POINTS = tuple(point for point in Point if point.startswith("optimise-"))
STORE_POINTS = tuple(point for point in Point if point not in (*EXCHANGE_POINTS, *OVERLAY_POINTS, *OPTIMISE_POINTS))
SOURCE = Path(__file__).parents[3]
MUTATING = (
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "syncfs",
    "ftruncate",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "symlink",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "chmod",
    "fchmod",
    "utimensat",
    "flock",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a process, and its output."""

    code: int
    out: str
    error: str

    @property
    def told(self) -> list[tuple[int, str]]:
        """The generations that a journey was told are made; a torn last line does not count."""
        lines = [line.split() for line in self.out.splitlines(keepends=True) if line.endswith("\n")]
        return [(int(number), path) for number, path in lines]


def journey(
    root: Path, token: str, profile: str = "p", *, fault: str | None = None, trace: Iterable[str] = ()
) -> Ended:
    """One life of a store (see `scripts.reliability.crashes.journey`), perhaps under strace with these arguments."""
    command = [*trace, sys.executable, "-m", "scripts.reliability.crashes.journey", str(root), token, profile]
    return _ended(command, fault)


def vstore(root: Path, *arguments: str, fault: str | None = None, trace: Iterable[str] = ()) -> Ended:
    """One command of vstore."""
    return _ended([*trace, sys.executable, "-m", "vstore", "--root", str(root), "--no-progress", *arguments], fault)


def _ended(command: Sequence[str], fault: str | None) -> Ended:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}
    if fault is not None:
        environment["VSTORE_FAULT"] = fault
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=SOURCE, timeout=120)
    return Ended(code=done.returncode, out=done.stdout, error=done.stderr)


def reindex_if_missing(root: Path) -> None:
    """As every command says to, when a `reindex` died after it took the old index away."""
    if (root / "store").is_dir() and not (root / "index.sqlite").exists() and any((root / "store").iterdir()):
        reindex(root)


def recover(root: Path, token: str) -> None:
    """The promises after an end at any step: intact, goes on, and the next collection leaves nothing."""
    reindex_if_missing(root)
    check_intact(root)
    again = journey(root, f"{token}-again")
    assert again.code == 0, again.error
    check_intact(root)
    check_nothing_left(root)
    assert not list(root.parent.glob(".vstore-*")), "unfinished work beside a user's link"


def kill_at(root: Path, point: Point, occurrence: int, token: str) -> bool:
    """End a process at this step for the n-th time; False if it never came there."""
    ended = journey(root, token, fault=f"{point}:{occurrence}")
    assert ended.code in (0, -9), ended.error
    if ended.code == 0:
        return False
    recover(root, token)
    return True


def fail_at(root: Path, point: Point, action: str, token: str) -> None:
    """Let this step fail as a full or a broken disk would; whoever asked is told, or it did not matter."""
    ended = journey(root, token, fault=f"{point}:{action}")
    assert ended.code in (0, 1) and "Traceback" not in ended.error, ended.error
    recover(root, token)


def kill_exchange_at(folder: Path, url: str, point: Point, occurrence: int, token: str) -> bool:
    """End a push or a pull at this step for the n-th time; False if it never came there.

    Then nothing incomplete is listed, both stores are intact, and the same again goes on from there.
    """
    command = [sys.executable, "-m", "scripts.reliability.crashes.exchange", str(folder), url, token]
    ended = _ended(command, f"{point}:{occurrence}")
    assert ended.code in (0, -9), ended.error
    if ended.code == 0:
        return False
    check_exchange(folder, url)
    again = _ended(command, None)
    assert again.code == 0, again.error
    check_exchange(folder, url)
    for name in NAMES:
        check_nothing_left(folder / name)
    return True


def kill_optimise_at(root: Path, point: Point, occurrence: int, *, then: Sequence[str] = ("gc",)) -> bool:
    """End an `optimise` at this step for the n-th time; False if it never came there.

    Then no byte is another, `verify` names every folder that is not as it was, and the next command mends it.
    """
    remove_tree(root)
    with Store.open(root) as store:
        for name in ("one", "two", "three"):
            files = {"a": b"equal 1", "deep/b": b"equal 2", "deep/down/c": b"equal 3", "own": name.encode()}
            add_root(store.layout, store.layout.gcroots / name, add(store, name, files))
    ended = vstore(root, "optimise", fault=f"{point}:{occurrence}")
    assert ended.code in (0, -9), ended.error
    if ended.code == 0:
        return False
    with Store.open(root) as store:
        texts = [one.problem for one in verify(store, contents=True, reporter=NullReporter())[1]]
        assert all(text.startswith(("its mode is 0755: ", "its time was changed: ")) for text in texts), texts
        assert texts or point in (Point.OPTIMISE_NOTED,), "nothing is named"
    assert vstore(root, *then).code == 0
    check_intact(root)
    check_nothing_left(root)
    return True


def check_exchange(folder: Path, url: str) -> None:
    """All files that the cache lists are whole, and so are both stores."""
    cache = open_cache(url)
    with Store.open(folder / "checker") as store:
        if cache.exists():
            _, problems = verify_cache(store, cache, contents=True, trust=TRUST, reporter=NullReporter())
            assert problems == [], problems
    for name in NAMES:
        check_intact(folder / name)


def why_no_strace() -> str | None:
    """None when system calls can be made to fail here, else the reason."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"strace cannot trace here: {tried.stderr.strip()}"


def inject(root: Path, call: str, what: str, occurrence: int, token: str) -> tuple[Ended, bool]:
    """Run a journey whose n-th system call of this name fails (`error=EIO`) or kills (`signal=KILL`).

    Also tells whether there was such a call. Only calls on the store's own files and folders count.
    """
    log = root.parent / "trace"
    trace = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={call}"]
    trace += ["-e", f"inject={call}:{what}:when={occurrence}"]
    ended = journey(root, token, trace=trace)
    text = log.read_text("utf-8", "replace")
    return ended, "(INJECTED)" in text or "killed by SIGKILL" in text
