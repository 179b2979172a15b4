"""Tricks of a hostile member of the group that shares a store, against the commands of root.

Each trick is played by a real second user in a fresh store, where root and the member have objects. Then root collects,
verifies and repairs, optimises and reindexes. Every command ends with its work done or one line, and a decoy outside
the store, which root owns, is as it was: names, bytes, modes, owners and times.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scripts.testing.trees import SOURCE, add
from vstore import profile as profiles
from vstore.store import RootNote, Store, add_root

GROUP = f"vstore-hostile-{os.getpid()}"  # two processes that run tests have a member each
MEMBER = f"{GROUP}-m"
COMMANDS = (
    ("gc", "--dry-run"),
    ("gc",),
    ("verify", "--contents"),
    ("verify", "--repair", "--offline"),
    ("optimise",),
    ("reindex",),
    ("gc",),
)
_ENDS = (0, 2, 6, 7, 8)  # done, or one line: of the configuration, of the store, of a lock, of a profile
_SECONDS = 120
_SWAPPER = "swapper"


@dataclass(frozen=True, slots=True)
class Scene:
    """A shared store; `own` is the member's object, `dead` one of his that no root reaches, `other` is root's."""

    root: Path
    decoy: Path
    own: Path
    dead: Path
    other: Path

    def aside(self, name: str) -> Path:
        """Take a folder of the store away, as whoever may write to the one above can."""
        place = self.root / name
        place.rename(place.with_name(f"{place.name}-aside"))
        return place


Trick = Callable[[Scene], None]


# folders of the layout


def _link(name: str) -> Trick:
    return lambda scene: scene.aside(name).symlink_to(scene.decoy)


def _fifo(name: str) -> Trick:
    return lambda scene: os.mkfifo(scene.aside(name))


def _file(name: str) -> Trick:
    return lambda scene: scene.aside(name).touch()


def _own_folder(scene: Scene, name: str) -> Path:
    """A folder of the member in place of the store's."""
    place = scene.aside(name)
    place.mkdir()
    (place / "link").symlink_to(scene.decoy)
    return place


def _own_tmp(scene: Scene) -> None:
    _own_folder(scene, "tmp").joinpath("trash").symlink_to(scene.decoy)


# entries in folders


def _linked(place: str, target: str = "") -> Trick:
    """A link to the decoy, or into it, at a place that may be taken."""

    def play(scene: Scene) -> None:
        where = scene.root / place
        with suppress(FileNotFoundError):
            where.rename(where.with_name(f"{where.name}-aside"))
        where.symlink_to(scene.decoy / target if not target.startswith("/") else target)

    return play


def _piped(place: str) -> Trick:
    def play(scene: Scene) -> None:
        where = scene.root / place
        with suppress(FileNotFoundError):
            where.unlink()
        os.mkfifo(where)

    return play


def _tree(place: str) -> Trick:
    """Links to the decoy in folders, some closed, one with a line feed in its name, one deep."""

    def play(scene: Scene) -> None:
        top = scene.root / place
        (top / "a\nb").mkdir(parents=True)
        (top / "/".join("d" * 300)).mkdir(parents=True)
        for folder in (top, top / "a\nb", top / "d"):
            (folder / "folder").symlink_to(scene.decoy)
            (folder / "file").symlink_to(scene.decoy / "file")
            os.mkfifo(folder / "fifo")
        (top / "closed").mkdir(mode=0)

    return play


def _hard(place: str) -> Trick:
    """A hard link to root's private file; where the kernel forbids it (fs.protected_hardlinks), root makes it."""

    def play(scene: Scene) -> None:
        (scene.root / place).parent.mkdir(exist_ok=True)
        os.link(scene.decoy / "private", scene.root / place)

    return play


def _journal(scene: Scene) -> None:
    left = scene.root / "tmp" / "optimise-aaaaaaaaaaaa"
    left.mkdir()
    (left / "changing").write_text(f"../../decoy\n{scene.decoy}\n{scene.own.name}\n")
    _open_own(scene)
    (scene.own / "deep").rename(scene.own / "aside")
    (scene.own / "deep").symlink_to(scene.decoy)


def _sparse(scene: Scene) -> None:
    file = scene.root / "gcroots" / "temp" / "1-aaaaaaaa"
    file.touch()
    os.truncate(file, 1 << 40)


def _expired(scene: Scene) -> None:
    """An entry for root's own link outside, with a pin that has ended."""
    auto = scene.root / "gcroots" / "auto"
    (entry,) = [place for place in auto.iterdir() if place.is_symlink()]
    moment = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    pin = auto / f".{entry.name}.json"
    pin.unlink()
    pin.write_text(f'{{"note": "", "expires_at": "{moment}"}}')


def _pin(kind: str) -> Trick:
    def play(scene: Scene) -> None:
        pin = scene.root / "gcroots" / ".kept.json"
        (scene.root / "gcroots" / "kept").symlink_to(f"../store/{scene.own.name}")
        os.mkfifo(pin) if kind == "fifo" else pin.symlink_to(kind)

    return play


def _line_feeds(scene: Scene) -> None:
    for folder in ("store", "manifests", "tmp", "tmp/trash", "locks", "logs", "gcroots", "gcroots/temp", "profiles"):
        (scene.root / folder / "a\nb").symlink_to(scene.decoy)


# objects


def _open_own(scene: Scene) -> None:
    for folder in (scene.own, scene.own / "deep"):
        folder.chmod(0o755)


def _object(change: Callable[[Scene], object]) -> Trick:
    def play(scene: Scene) -> None:
        _open_own(scene)
        change(scene)

    return play


def _swap_for(place: str, target: str) -> Trick:
    """Something of the member's object becomes a link into the decoy."""

    def change(scene: Scene) -> None:
        where = scene.own / place if place else scene.own
        where.rename(where.with_name("was"))
        where.symlink_to(scene.decoy / target)

    return _object(change)


def _hard_in_object(scene: Scene) -> None:
    """The member's file is root's private one, and its mode and time are to be put right."""
    (scene.own / "deep" / "a").unlink()
    os.link(scene.decoy / "private", scene.own / "deep" / "a")


def _equal_hard_in_object(scene: Scene) -> None:
    """The same with equal bytes, so that nothing but its mode and time is wrong."""
    (scene.own / "deep" / "a").unlink()
    os.link(scene.decoy / "equal", scene.own / "deep" / "a")


def _dead_link(scene: Scene) -> None:
    scene.dead.rename(scene.root / "store" / "was")
    scene.dead.symlink_to(scene.decoy)


# the index


def _foreign_database(scene: Scene) -> None:
    (scene.root / "index.sqlite").unlink()
    (scene.root / "index.sqlite").symlink_to(scene.decoy / "other.sqlite")


def _hard_database(scene: Scene) -> None:
    (scene.root / "index.sqlite").unlink()
    os.link(scene.decoy / "other.sqlite", scene.root / "index.sqlite")


def _rows(sql: str) -> Trick:
    def play(scene: Scene) -> None:
        with sqlite3.connect(scene.root / "index.sqlite") as connection:
            connection.executescript(sql)
        connection.close()

    return play


def _piped_spec(scene: Scene) -> None:
    """The spec of a generation is a FIFO, and its object is damaged: a repair would read it."""
    os.mkfifo(scene.root / "fifo")
    _rows(f"UPDATE generations SET spec_path = '{scene.root}/fifo'")(scene)
    _open_own(scene)
    (scene.own / "deep" / "a").unlink()


def _swapping(name: str, target: str = "") -> Trick:
    """Let a folder become a link and a folder again, all the time, while root's commands run."""

    def play(scene: Scene) -> None:
        place = scene.own / name[4:] if name.startswith("own/") else scene.root / name
        if name.startswith("own/"):
            _open_own(scene)
        aside = place.with_name(f"{place.name}-aside")
        if child := os.fork():
            (scene.root / _SWAPPER).write_text(str(child))
            return
        ends = time.monotonic() + _SECONDS
        while time.monotonic() < ends and not (scene.root / "ended").exists():
            with suppress(OSError):
                place.rename(aside)
                place.symlink_to(scene.decoy / target)
                time.sleep(0.001)
                place.unlink()
            with suppress(OSError):
                aside.rename(place)
            time.sleep(0.001)
        os._exit(0)

    return play


_LAYOUT = (
    "store", "manifests", "profiles", "gcroots", "gcroots/auto", "gcroots/temp", "logs", "cache", "cache/uv", "tmp",
    "tmp/trash", "locks", "failed",
)  # fmt: skip

TRICKS: dict[str, Trick] = {
    **{f"{name} is a link": _link(name) for name in _LAYOUT},
    **{f"{name} is a FIFO": _fifo(name) for name in ("store", "tmp/trash", "gcroots/temp", "locks")},
    **{f"{name} is a file": _file(name) for name in ("manifests", "profiles", "tmp/trash")},
    "tmp is the member's, its trash a link": _own_tmp,
    "the trash is the member's": lambda scene: void(_own_folder(scene, "tmp/trash")),
    "the failed builds are the member's": lambda scene: void(_own_folder(scene, "failed")),
    "links in the trash": _tree("tmp/trash/left"),
    "links in a leftover of a build": _tree("tmp/build-aaaaaaaaaaaa"),
    "links in a folder without a row": _tree("store/litter"),
    "links in an old failed build": _tree("failed/old"),
    "a hard link in the trash": _hard("tmp/trash/hard"),
    "a hard link in a leftover": _hard("tmp/build-aaaaaaaaaaaa/hard"),
    "the note of an optimise leads outside": _journal,
    "the lock of a leftover is a FIFO": _piped("tmp/build-aaaaaaaaaaaa.lock"),
    "the lock of a leftover is a link": _linked("tmp/build-aaaaaaaaaaaa.lock", "file"),
    **{f"the lock {name} is a link": _linked(f"locks/{name}", "new") for name in ("gc", "use", "trash", "optimise")},
    "the lock of collectors is a file outside": _linked("locks/gc", "file"),
    "the lock of collectors is a FIFO": _piped("locks/gc"),
    "the lock of users is a FIFO": _piped("locks/use"),
    "the lock of a profile is a link": _linked("locks/profile-p", "new"),
    "a temp root is a FIFO": _piped("gcroots/temp/1-aaaaaaaa"),
    "a temp root is a link": _linked("gcroots/temp/1-aaaaaaaa", "file"),
    "a temp root is a folder": lambda scene: (scene.root / "gcroots" / "temp" / "1-aaaaaaaa").mkdir(),
    "a temp root has no end": _sparse,
    "a root's pin has ended, its link is root's": _expired,
    "a pin is a FIFO": _pin("fifo"),
    "a pin never ends": _pin("/dev/zero"),
    "a root leads outside": _linked("gcroots/out"),
    "a root leads to itself": lambda scene: (scene.root / "gcroots" / "loop").symlink_to("loop"),
    "names with line feeds": _line_feeds,
    "the record of a generation is a FIFO": _piped("profiles/.p-1.json"),
    "a generation leads outside": _linked("profiles/p-1-link"),
    "a profile leads outside": _linked("profiles/p"),
    "a link half made leads outside": _linked("profiles/.p.aaaaaaaa"),
    "a manifest is a FIFO": lambda scene: _piped(f"manifests/{scene.own.name}")(scene),
    "a manifest never ends": lambda scene: _linked(f"manifests/{scene.own.name}", "/dev/zero")(scene),
    "a manifest is a link": lambda scene: _linked(f"manifests/{scene.own.name}", "file")(scene),
    "the manifest of a dead object is a link": lambda scene: _linked(f"manifests/{scene.dead.name}", "file")(scene),
    "an object is a link": _swap_for("", ""),
    "a folder of an object is a link": _swap_for("deep", "deep"),
    "a file of an object is a link": _swap_for("deep/a", "equal"),
    "a file of an object is a hard link": _object(_hard_in_object),
    "a file of an object is an equal hard link": _object(_equal_hard_in_object),
    "a file of an object is a FIFO": _object(lambda scene: os.mkfifo(scene.own / "deep" / "fifo")),
    "a dead object is a link": _dead_link,
    "the index is a link to another database": _foreign_database,
    "the index is a hard link to another database": _hard_database,
    "the log of the index is a link": _linked("index.sqlite-wal", "file"),
    "the shared memory of the index is a link": _linked("index.sqlite-shm", "file"),
    "the configuration is a FIFO": _piped("config.toml"),
    "the configuration never ends": _linked("config.toml", "/dev/zero"),
    "the reserve is a link": _linked("emergency-space", "new"),
    "a new index half made is a link": _linked("index-aaaaaaaaaaaa", "other.sqlite"),
    "a log is a link": _linked("logs/aaaa.log.z", "file"),
    "a profile's name leads outside": _rows(
        "INSERT INTO profiles VALUES ('../../decoy/x', 9);"
        "INSERT OR IGNORE INTO generations SELECT '../../decoy/x', number, object, created_at, spec_path, spec_digest,"
        " replaced_number FROM generations LIMIT 1;"
    ),
    "a generation's spec is a FIFO": _piped_spec,
    **{f"{name} is swapped all the time": _swapping(name) for name in ("tmp/trash", "tmp", "store", "profiles")},
    "a folder of an object is swapped all the time": _swapping("own/deep", "deep"),
}  # fmt: skip
AS_ROOT = frozenset(name for name in TRICKS if "hard link" in name)  # members may not, but on old systems


def void(_: object) -> None:
    """A trick returns nothing."""


def digest_of(folder: Path) -> str:
    """All of a tree: names, kinds, bytes, modes, owners and times."""
    lines = []
    for place in sorted([folder, *folder.rglob("*")]):
        status = place.lstat()
        said = os.readlink(place) if place.is_symlink() else place.read_bytes().hex() if place.is_file() else ""
        lines.append(f"{place} {status.st_mode:o} {status.st_uid} {status.st_gid} {status.st_mtime_ns} {said}")
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


@contextmanager
def member() -> Iterator[None]:
    """A real user in a group of his own, for as long as the tricks are played."""
    subprocess.run(["groupadd", "--force", GROUP], check=True)
    subprocess.run(["useradd", "--no-create-home", "--groups", GROUP, MEMBER], check=True)
    try:
        yield
    finally:
        subprocess.run(["userdel", MEMBER], check=True)
        subprocess.run(["groupdel", GROUP], check=True)


def as_member(work: Callable[[], None]) -> None:
    """Do this in a process of the member's."""
    entry = pwd.getpwnam(MEMBER)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.initgroups(MEMBER, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            os.umask(0o002)
            work()
            code = 0
        except BaseException as error:
            os.write(2, f"the member fails: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def set_scene(place: Path) -> Scene:
    """A group's store with objects of two users, and root's decoy beside it."""
    root, decoy = place / "shared", place / "decoy"
    (decoy / "deep").mkdir(parents=True)
    for name in ("file", "deep/a", "equal"):
        (decoy / name).write_bytes(b"equal bytes")
    (decoy / "private").write_bytes(b"root's alone")
    (decoy / "private").chmod(0o600)
    (decoy / "equal").chmod(0o600)
    with sqlite3.connect(decoy / "other.sqlite") as connection:
        connection.execute("CREATE TABLE theirs (line)")
    connection.close()
    root.mkdir()
    shutil.chown(root, group=GROUP)
    root.chmod(0o2775)
    (place / "names").mkdir()
    place.joinpath("names").chmod(0o777)
    before = os.umask(0o002)
    try:
        with Store.open(root) as store:
            other = add(store, "other", {"deep/a": b"equal bytes", "own": b"root"})
            now = datetime.now(UTC)
            profiles.append(store, "p", other, spec_path=None, spec_digest=None, now=now)
            (root / "failed").mkdir()
            (decoy / "kept").symlink_to(root / "store" / str(other))
            add_root(store.layout, decoy / "kept", other, RootNote("root's"))
        as_member(lambda: _add_own(place, root))
    finally:
        os.umask(before)
    own, dead = ((place / "names" / name).read_text() for name in ("own", "dead"))
    store_folder = root / "store"
    return Scene(root, decoy, store_folder / own, store_folder / dead, store_folder / str(other))


def _add_own(place: Path, root: Path) -> None:
    with Store.open(root) as store:
        own = add(store, "own", {"deep/a": b"equal bytes", "own": b"member"})
        dead = add(store, "dead", {"deep/a": b"equal bytes", "own": b"dead"})
        profiles.append(store, "q", own, spec_path=None, spec_digest=None, now=datetime.now(UTC))
    (place / "names" / "own").write_text(str(own))
    (place / "names" / "dead").write_text(str(dead))


def play(name: str) -> dict[str, int]:
    """Play a trick against each of root's commands, in turn. Returns how often each exit code came."""
    codes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        scene = set_scene(place)
        if name in AS_ROOT:
            as_member(lambda: _open_own(scene))
            TRICKS[name](scene)
        else:
            as_member(lambda: TRICKS[name](scene))
        before = digest_of(scene.decoy)
        try:
            for command in COMMANDS:
                code, said = _run(scene.root, *command)
                assert code in _ENDS and "Traceback" not in said, f"{name}: {command} ended with {code}: {said}"
                assert digest_of(scene.decoy) == before, f"{name}: {command} changed what is not the store's: {said}"
                codes[str(code)] = codes.get(str(code), 0) + 1
        finally:
            _end_swapper(scene.root)
    return codes


def _end_swapper(root: Path) -> None:
    if (root / _SWAPPER).exists():
        (root / "ended").touch()
        while Path("/proc", (root / _SWAPPER).read_text()).exists():
            time.sleep(0.01)


def _run(root: Path, *command: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1", "UV_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "vstore", "--root", str(root), "--no-progress", *command],
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        umask=0o002,
        timeout=_SECONDS,
        cwd=SOURCE,
    )
    return done.returncode, done.stdout + done.stderr
