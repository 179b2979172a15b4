"""Spoiling a store's index, its manifests and records, and asking the real commands about it."""

from __future__ import annotations

import importlib
import os
import random
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts.reliability.hostile.spoil import spoil
from scripts.testing.trees import add, recipe
from vstore.cli.app import main
from vstore.cli.commands import COMMANDS as MODULES
from vstore.errors import FOUND_SOMETHING
from vstore.fs.trees.removal import remove_tree
from vstore.profile import append
from vstore.store import Store, add_root

COMMANDS = (
    ("list",), ("--json", "list"), ("info", "middle"), ("tree", "middle"), ("why-depends", "middle", "low"),
    ("profiles",), ("history", "app"), ("roots",), ("sql", "SELECT * FROM objects"),
    ("gc", "--dry-run"), ("gc",), ("gc", "--keep", "1"), ("delete", "dead", "--dry-run"), ("delete", "dead"),
    ("verify",), ("verify", "--contents"), ("verify", "--repair", "--offline"), ("doctor",), ("optimise",),
    ("rollback", "app"), ("switch", "app", "2"), ("forget", "app", "1"), ("roots", "add", "mine", "low"),
)  # fmt: skip
_NAMED = "the index is damaged"
_ABSENT = (
    "no object in the store is called",
    "is ambiguous",
    "no such profile",
    "has no generation",
    "which the current one replaced, was forgotten",
    "the current generation replaced none",
    "is the current one",
)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    error: str


for name, _ in set(MODULES.values()):  # loaded once, not in each fork
    importlib.import_module(f"vstore.cli.commands.{name}")


def command(root: Path, *arguments: str) -> Ended:
    """Run a command in a fork of this process, which has loaded all it needs."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(error.fileno(), 2)
            main(["--root", str(root), "--no-progress", "--wait", "20", *arguments])
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        error.seek(0)
        return Ended(code, out.read(), error.read())


def make_store(work: Path) -> Path:
    """A stack of two generations over three objects, a user's root, and dead objects; the log is not emptied yet."""
    now = datetime.now(UTC).replace(microsecond=0)
    with Store.open(work / "made") as store:
        low = add(store, "low", recipe=recipe("low"))
        middle = add(store, "middle", references=[low], recipe=recipe("middle"))
        for text in ("one", "two"):
            stack = add(store, "app-stack", {"a": text.encode()}, references=[middle])
            append(store, "app", stack, spec_path="/project/spec.toml", spec_digest=recipe(text), now=now)
        add_root(store.layout, store.layout.gcroots / "kept", add(store, "kept"))
        for number in range(40):
            add(store, "old", {"a": str(number).encode()}, recipe=recipe(f"old {number}"))
        add(store, "dead")
        store.realisations.cache_stack(b"question", stack)
        shutil.copytree(work / "made", work / "whole", symlinks=True)
    return work / "whole"


def bytes_changed(root: Path, chance: random.Random) -> None:
    """Anywhere in the file, its log emptied into it first or not."""
    file = root / "index.sqlite"
    if chance.random() < 0.8:
        flushed(root)
    _rewrite(chance.choice([file, file, file, file.with_name("index.sqlite-wal")]), lambda data: spoil(data, chance))


def pages_changed(root: Path, chance: random.Random) -> None:
    """Single bytes, within what the tables say, so that SQLite itself has little to notice."""
    flushed(root)

    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(chance.randint(1, 20)):
            changed[chance.randrange(100, len(changed))] = chance.randrange(256)
        return bytes(changed)

    _rewrite(root / "index.sqlite", change)


def values_changed(root: Path, chance: random.Random) -> None:
    """Columns of another type, or values that make no sense, by SQL."""
    values = ("x", b"\xff\xfe", -1, 2**62, 1.5, None, "", "2026-13-45", "../../x", b"\0" * 32, "\ud7ff", "9" * 5000)
    with closing(sqlite3.connect(root / "index.sqlite", isolation_level=None)) as other:
        other.execute("PRAGMA ignore_check_constraints = ON")
        tables = ("objects", "object_references", "realisations", "last_used", "profiles", "generations")
        table = chance.choice(tables)
        columns = [row[1] for row in other.execute(f"PRAGMA table_info({table})")]
        limit = "" if chance.random() < 0.5 else "WHERE random() % 4 = 0"
        with suppress(sqlite3.IntegrityError):  # it is as it was
            other.execute(
                f"UPDATE OR IGNORE {table} SET {chance.choice(columns)} = ? {limit}", (chance.choice(values),)
            )


def schema_changed(root: Path, chance: random.Random) -> None:
    """A table or the version is missing, or another one's."""
    with closing(sqlite3.connect(root / "index.sqlite", isolation_level=None)) as other:
        tables = (
            "objects",
            "object_references",
            "realisations",
            "object_wheels",
            "stack_cache",
            "last_used",
            "profiles",
            "generations",
        )
        statements = [f"DROP TABLE {table}" for table in tables]
        statements += [f"ALTER TABLE {table} RENAME TO elsewhere" for table in tables]
        statements += [f"PRAGMA user_version = {number}" for number in (-3, 0, 1, 99)]
        other.execute(chance.choice(statements))


def file_changed(root: Path, chance: random.Random) -> None:
    """It, or what SQLite keeps beside it, is cut, empty, a folder, a FIFO, or quite another file."""
    file = chance.choice([root / f"index.sqlite{suffix}" for suffix in ("", "", "-wal", "-shm")])
    match chance.randrange(6):
        case 0:
            _rewrite(file, lambda data: data[: chance.randrange(len(data) + 1)])
        case 1:
            file.write_bytes(b"")
        case 2:
            file.unlink(missing_ok=True)
            (file / "folder").mkdir(parents=True)
        case 3:
            file.unlink(missing_ok=True)
            os.mkfifo(file)
        case 4:
            file.write_bytes(chance.randbytes(chance.choice([1, 100, 4096, 20000])))
        case _:
            file.unlink(missing_ok=True)
            with closing(sqlite3.connect(file)) as other:
                other.execute("CREATE TABLE notes (text)")
                other.execute(f"PRAGMA user_version = {chance.choice([0, 2])}")
                other.commit()


SPOILERS: tuple[Callable[[Path, random.Random], None], ...] = (
    bytes_changed, pages_changed, values_changed, schema_changed, file_changed,
)  # fmt: skip


def flushed(root: Path) -> None:
    with closing(sqlite3.connect(root / "index.sqlite")) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _rewrite(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes() if file.exists() else b""))


def spoil_indexes(work: Path, *, count: int, seed: int) -> Counter[str]:
    """Spoil so many indexes; ask a few commands of each, then `reindex` it. AssertionError for what was not as told."""
    whole = make_store(work)
    counts: Counter[str] = Counter()
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        root = work / f"spoilt-{number}"
        shutil.copytree(whole, root, symlinks=True)
        spoiler = SPOILERS[number % len(SPOILERS)]
        spoiler(root, chance)
        for arguments in chance.sample(COMMANDS, 4):
            counts[_judged(command(root, *arguments), f"{number} {spoiler.__name__}: {arguments}")] += 1
        recovered(root, f"{number} {spoiler.__name__}")
        remove_tree(root)
    return counts


def _judged(ended: Ended, case: str) -> str:
    """One of the one error, an answer, or that something is not there."""
    told = f"{case}\n{ended}"
    assert "Traceback" not in ended.error and "mistake in vstore" not in ended.error, told
    if _NAMED in ended.error or _NAMED in ended.out or "the index is missing" in ended.error:
        assert "`vstore reindex`" in ended.error + ended.out, told
        return "named"
    if "the manifest is missing" in ended.error and "`vstore verify --repair`" in ended.error:
        return "named"  # the index has another name for the object
    if ended.code in (0, 6, FOUND_SOMETHING) and "error:" not in ended.error:  # 6: `verify` with problems
        return "answered"
    assert any(text in ended.error for text in _ABSENT), told
    return "not there"


def recovered(root: Path, case: str) -> None:
    """After `reindex` all is as it was but for what was dead, and no live object was lost."""
    ended = command(root, "reindex")
    assert ended.code == 0, f"{case}\n{ended}"
    ended = command(root, "verify", "--contents", "--repair", "--offline")
    assert ended.code == 0, f"{case}\n{ended}"
    names = {path.name for path in (root / "store").iterdir()}
    for name in ("low", "middle", "app-stack", "kept"):
        assert any(one.endswith(f"-{name}") for one in names), f"{case}: {name} is lost"
