"""Random (command, place, kind of file that is there already): nothing of anybody else's changes, and nothing hangs."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.testing.forked import HUNG, CommandLine, Ended
from scripts.testing.world import World
from vstore.fs.trees.removal import remove_tree

Maker = Callable[[Path, Path], object]  # gets the place and the folder of decoys
SECRET = b"not vstore's\n"
STRANGE = (
    *(b"", b".", b"-", b"/dev/null", b"/dev/stdout", b"/proc/new", b"/proc/self/fd/1", b"~nobody-here/x"),
    *(b"ROOT/x", b"ROOT/store", b"ROOT/store/x", b"ROOT/index.sqlite", b"ROOT/profiles/project", b"ROOT/tmp"),
    *(b"gone/x", b"file/x", b"link/x", b"new/", b"a\nb", b"\xff\xfe", b"x" * 300, b"./" * 3000 + b"x"),
)
INSIDE = b"ROOT/"  # the store's own places: always refused


def _folder(place: Path, _: Path, mode: int = 0o755) -> None:
    place.mkdir()
    (place / "notes.txt").write_bytes(SECRET)
    place.chmod(mode)


def _file(place: Path, _: Path, mode: int = 0o644) -> None:
    place.write_bytes(SECRET)
    place.chmod(mode)


def _large(place: Path, _: Path) -> None:
    place.touch()
    os.truncate(place, 1 << 33)


KINDS: dict[str, Maker] = {
    "nothing": lambda place, decoy: None,
    "an empty file": lambda place, decoy: place.touch(),
    "a file": _file,
    "a file nobody may read": lambda place, decoy: _file(place, decoy, 0),
    "a file nobody may write": lambda place, decoy: _file(place, decoy, 0o444),
    "a large file": _large,
    "a second name of a file": lambda place, decoy: os.link(decoy / "file", place),
    "an empty folder": lambda place, decoy: place.mkdir(),
    "a folder": _folder,
    "a folder nobody may write": lambda place, decoy: _folder(place, decoy, 0o555),
    "a link to a file": lambda place, decoy: place.symlink_to(decoy / "file"),
    "a link to a folder": lambda place, decoy: place.symlink_to(decoy / "folder"),
    "a link to nothing": lambda place, decoy: place.symlink_to(decoy / "new"),
    "a link to itself": lambda place, decoy: place.symlink_to(place.name),
    "a link to the null device": lambda place, decoy: place.symlink_to("/dev/null"),
    "a FIFO": lambda place, decoy: os.mkfifo(place),
    "a socket": lambda place, decoy: os.mknod(place, 0o666 | stat.S_IFSOCK),
    "a device": lambda place, decoy: os.mknod(place, 0o666 | stat.S_IFCHR, os.makedev(1, 3)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that writes something at a place.

    `arguments` get the place; `inside` is where below the folder that is named the file lies; in a `container`
    things of others may lie, which stay. A command that does not end by itself is ended once it has said `until`.
    """

    arguments: Callable[[World, str | bytes], tuple[str | bytes, ...]]
    inside: str = ""
    container: bool = False
    until: str | None = None


def _realise(world: World, place: str | bytes) -> tuple[str | bytes, ...]:
    return ("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index", "--out-link", place)


def _publish(world: World, place: str | bytes) -> tuple[str | bytes, ...]:
    return ("publish", str(world.spec), "--locked", "--include", "python", "--output-dir", place)


def _export(world: World, place: str | bytes) -> tuple[str | bytes, ...]:
    return ("export", "project", "--include", "framework-mid", "--output-dir", place)


def _copy(world: World, place: str | bytes) -> tuple[str | bytes, ...]:
    return (*_export(world, place), "--links", "copy")


COMMANDS: dict[str, Command] = {
    "realise --out-link": Command(arguments=_realise),
    "develop": Command(arguments=lambda world, place: ("develop", str(world.spec), "--path", place)),
    "roots add": Command(arguments=lambda world, place: ("roots", "add", place, "app-hello")),
    "pack": Command(arguments=lambda world, place: ("pack", "project", "--no-closure", "-o", place)),
    "image": Command(arguments=lambda world, place: ("image", "project", "--format", "folder", "-o", place)),
    "image --format file": Command(
        arguments=lambda world, place: ("image", "project", "--format", "file", "-o", place)
    ),
    "sbom": Command(arguments=lambda world, place: ("sbom", "project", "-o", place)),
    "publish": Command(arguments=_publish, container=True),
    "publish, an archive": Command(arguments=_publish, inside="python.tar.zst"),
    "publish, the metadata": Command(arguments=_publish, inside="__venvstacks__", container=True),
    "publish, the list": Command(arguments=_publish, inside="__venvstacks__/venvstacks.json"),
    "publish, a record": Command(arguments=_publish, inside="__venvstacks__/env_metadata/python.json"),
    "export": Command(arguments=_export, container=True),
    "export, a layer": Command(arguments=_export, inside="framework-mid"),
    "export --links copy, a layer": Command(arguments=_copy, inside="framework-mid"),
    "export --links copy, a record": Command(arguments=_copy, inside="__venvstacks__/env_metadata/framework-mid.json"),
    "init": Command(arguments=lambda world, place: ("init", place), container=True),
    "init, the spec": Command(arguments=lambda world, place: ("init", place), inside="spec.toml"),
    "scheduler": Command(
        arguments=lambda world, place: ("scheduler", "--port", "0", "--scheduler-file", place), until="scheduler at "
    ),
    "push": Command(arguments=lambda world, place: ("push", place, "project-stack")),
    "--root": Command(arguments=lambda world, place: ("key", "generate", "one", "--root", place)),
}
ASKS_FIRST = {"push", "--root"}  # a cache or a store, whose refusals have other exit codes
EMPTY_WILL_DO = ASKS_FIRST | {"image"}


def snapshot(folder: Path) -> dict[str, object]:
    """Everything below a folder: kind, mode, owner, time, and what is in it; of folders not the time."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content: object = None
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            small = status.st_size < 1 << 20 and os.access(path, os.R_OK)
            content = path.read_bytes() if small else status.st_size
        time = None if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns
        found[str(path)] = (status.st_mode, status.st_uid, status.st_ino, time, content)
    return found


def make_decoys(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(SECRET)
    _folder(folder / "folder", folder)
    (folder / "folder" / "deeper").mkdir()
    (folder / "link").symlink_to("file")
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A case and how it ended."""

    what: str
    refused: bool


def try_place(world: World, cli: CommandLine, work: Path, command: str, kind: str) -> Tried:
    """One case. AssertionError says what was not as promised."""
    case = work / "case"
    decoy, one = make_decoys(case / "decoy"), COMMANDS[command]
    folder = case / "folder"
    folder.mkdir()
    named = folder / "place" if not one.inside else folder
    place = folder / one.inside if one.inside else named
    place.parent.mkdir(parents=True, exist_ok=True)
    KINDS[kind](place, decoy)
    before = snapshot(case)
    ended = cli.run("--root", str(world.root), *one.arguments(world, str(named)), until=one.until)
    after = snapshot(case)
    told = f"{command}, {kind}: {ended.text}"
    _check_end(ended, told)
    changed = {name: after.get(name) for name, was in before.items() if after.get(name) != was}
    assert not changed, f"{told}\n{changed}"
    new = [name for name in after if name not in before and Path(name) != named]
    assert (ended.code == 0) == _is_free(command, kind), told
    if ended.code:
        assert ended.code == 2 or command in ASKS_FIRST, told
        assert not new and str(place) in ended.error, f"{told}\n{new}"
    else:  # a link to a folder is as good as the folder
        assert all(Path(name).is_relative_to(os.path.realpath(named)) for name in new), f"{told}\n{new}"
    remove_tree(case)
    return Tried(what=f"{command}, {kind}", refused=ended.code != 0)


def _is_free(command: str, kind: str) -> bool:
    """Whether the command may write where such a thing is."""
    if kind == "nothing":
        return True
    if "folder" not in kind or (kind == "a folder nobody may write" and os.geteuid() != 0):
        return False
    if kind == "an empty folder":
        return COMMANDS[command].container or command in EMPTY_WILL_DO
    is_real = kind != "a link to a folder" or not COMMANDS[command].inside
    return COMMANDS[command].container and is_real


def try_strange(world: World, cli: CommandLine, work: Path, command: str, text: bytes) -> Tried:
    """A place that is odd or none: what is written is below the folder of the case, and nothing else changes."""
    case = work / "case"
    make_decoys(case)
    before = snapshot(case), _store_files(world)
    place = text.replace(b"ROOT", os.fsencode(world.root))
    one = COMMANDS[command]
    ended = cli.run("--root", str(world.root), *one.arguments(world, place), cwd=case, until=one.until)
    told = f"{command}, {text!r}: {ended.text}"
    _check_end(ended, told)
    after = snapshot(case), _store_files(world)
    assert all(after[0].get(name) == was for name, was in before[0].items()) and after[1] == before[1], told
    assert ended.code != 0 or not text.startswith(INSIDE), told
    remove_tree(case)
    return Tried(what=told, refused=ended.code != 0)


def _store_files(world: World) -> list[str]:
    """The names in the folders of the store that only its own commands write to, without those that SQLite makes."""
    names = ("", "store", "profiles", "manifests", "tmp")
    found = [f"{name}/{entry}" for name in names for entry in sorted(os.listdir(world.root / name))]
    return [name for name in found if not name.startswith("/index.sqlite-")]


def _check_end(ended: Ended, told: str) -> None:
    assert ended.code != HUNG and "Traceback" not in ended.error, told
    assert 0 <= ended.code < 20, told
    if ended.code:
        (line,) = [line for line in ended.error.splitlines() if line.startswith("error: ")]
        rest = ended.error.partition(line)[2].splitlines()
        assert all(one.startswith("  ") or not one for one in rest), told


def random_places(world: World, work: Path, *, count: int, seed: int) -> Iterator[Tried]:
    """So many cases, each combination of command and kind before one comes twice."""
    chance = random.Random(seed)
    work.mkdir(exist_ok=True)
    cases: list[tuple[bool, str, str | bytes]] = []
    while len(cases) < count:
        whole: list[tuple[bool, str, str | bytes]] = [(False, one, kind) for one in COMMANDS for kind in KINDS]
        whole += [(True, one, text) for one, found in COMMANDS.items() if not found.inside for text in STRANGE]
        chance.shuffle(whole)
        cases += whole
    with CommandLine(world.environment()) as cli:
        for odd, command, what in cases[:count]:
            if odd:
                assert isinstance(what, bytes)
                yield try_strange(world, cli, work, command, what)
            else:
                assert isinstance(what, str)
                yield try_place(world, cli, work, command, what)
