"""Roots, keys, locks and new stores at places where something is already."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scripts.cli_reference import commands
from scripts.reliability.hostile.places import COMMANDS, KINDS, make_decoys, snapshot
from scripts.testing.forked import CommandLine, Ended
from scripts.testing.trees import add
from scripts.testing.world import World, make_world
from vstore.cli.app import cli as cli_root
from vstore.cli.paths import Place
from vstore.objects import StorePath
from vstore.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX systems")


def test_every_option_that_names_an_output_is_tried() -> None:
    """Each command that writes to a path of the user's is one that tests/reliability/test_places.py runs."""
    left_out = {*(one.name for one in cli_root.params), "prefix"}  # an installation: kernels are folders inside it
    writing = {
        name
        for name, command, _ in commands()
        for parameter in command.params
        if isinstance(parameter.type, Place) and parameter.name not in left_out
    }
    tried = {command.partition(" --")[0].partition(",")[0] for command in COMMANDS}
    assert writing and writing - tried == set(), "add them to COMMANDS in scripts/reliability/hostile/places.py"


class Shop:
    """A store with two objects, and the command line."""

    def __init__(self, folder: Path, cli: CommandLine) -> None:
        self.folder, self.root, self._cli = folder, folder / "root", cli
        with Store.open(self.root) as store:
            self.one, self.two = add(store, "one"), add(store, "two")

    def run(self, *arguments: str, code: int = 0) -> Ended:
        ended = self._cli.run("--root", str(self.root), *arguments, cwd=self.folder)
        assert ended.code == code, ended.text
        return ended

    def object(self, path: StorePath) -> Path:
        return self.root / "store" / str(path)


@pytest.fixture
def shop(tmp_path: Path, cli: CommandLine) -> Shop:
    return Shop(tmp_path, cli)


def test_a_root_of_ours_is_moved_on_and_left_when_it_is_right(shop: Shop) -> None:
    link = shop.folder / "link"
    shop.run("roots", "add", str(link), "one")
    before = link.lstat()
    shop.run("roots", "add", str(link), "one")
    assert link.lstat().st_ino == before.st_ino
    shop.run("roots", "add", str(link), "two")
    assert os.readlink(link) == str(shop.object(shop.two))
    shop.run("roots", "remove", str(link))
    assert not link.is_symlink()


def test_a_root_whose_object_is_gone_is_ours_still(shop: Shop) -> None:
    link = shop.folder / "link"
    link.symlink_to(shop.object(shop.one))  # not registered, so it keeps nothing
    shop.run("delete", "one")
    shop.run("roots", "add", str(link), "two")
    assert link.resolve() == shop.object(shop.two).resolve()


def test_a_root_is_ours_after_the_store_was_moved(shop: Shop) -> None:
    link = shop.folder / "link"
    shop.run("roots", "add", str(link), "one")
    shop.root.rename(shop.folder / "moved")
    shop.root = shop.folder / "moved"
    shop.run("roots", "add", str(link), "two")
    assert os.readlink(link) == str(shop.object(shop.two))


def test_links_of_others_are_no_roots_of_ours(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("other") / "root"
    with Store.open(elsewhere) as store:
        other = elsewhere / "store" / str(add(store, "other"))
    shop.run("roots", "add", str(shop.folder / "root-link"), "one")
    theirs = {
        "to-another-store": other,
        "to-a-file-of-an-object": shop.object(shop.one) / "a",
        "to-a-root": shop.folder / "root-link",
        "to-the-store": shop.root / "store",
    }
    for name, target in theirs.items():
        link = shop.folder / name
        link.symlink_to(target)
        assert "vstore did not make" in shop.run("roots", "add", str(link), "two", code=2).error
        assert os.readlink(link) == str(target)


def test_removing_a_root_leaves_what_took_its_place(shop: Shop) -> None:
    for name in ("one", "two"):
        shop.run("roots", "add", str(shop.folder / name), name)
    (shop.folder / "one").unlink()
    (shop.folder / "one").symlink_to(shop.folder / "two")  # leads to the store, through another link
    shop.run("roots", "remove", str(shop.folder / "one"))
    assert os.readlink(shop.folder / "one") == str(shop.folder / "two")
    (shop.folder / "two").unlink()
    (shop.folder / "two").write_text("mine\n")
    shop.run("roots", "remove", str(shop.folder / "two"))
    assert (shop.folder / "two").read_text() == "mine\n"


def test_names_of_roots_in_the_store(shop: Shop) -> None:
    (shop.root / "gcroots" / "file").write_text("?")
    os.mkfifo(shop.root / "gcroots" / "fifo")
    for name in ("file", "fifo", "auto", "temp", ".hidden", "a\nb", "", ".", ".."):
        shop.run("roots", "add", name, "one", code=2)
    assert (shop.root / "gcroots" / "file").read_text() == "?"
    shop.run("roots", "add", "name", "one")
    shop.run("roots", "add", "name", "two")
    assert os.readlink(shop.root / "gcroots" / "name") == f"../store/{shop.two}"


@pytest.mark.parametrize("suffix", ["secret", "public"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("nothing", "a device")])
def test_keys_replace_nothing_and_follow_no_link(shop: Shop, tmp_path: Path, kind: str, suffix: str) -> None:
    decoy = make_decoys(tmp_path / "decoy")
    (shop.root / "keys").mkdir()
    KINDS[kind](shop.root / "keys" / f"me.{suffix}", decoy)
    before = snapshot(shop.root / "keys"), snapshot(decoy)
    shop.run("key", "generate", "me", code=2)
    assert (snapshot(shop.root / "keys"), snapshot(decoy)) == before


def test_a_folder_of_keys_that_is_a_link(shop: Shop) -> None:
    (shop.folder / "elsewhere").mkdir()
    (shop.root / "keys").symlink_to(shop.folder / "elsewhere")
    shop.run("key", "generate", "me", code=6)
    assert os.listdir(shop.folder / "elsewhere") == []


ADDING = ["key", "generate", "builder"]  # of the commands that make a store, the quickest


def test_a_folder_with_files_of_others_does_not_become_a_store(shop: Shop, cli: CommandLine) -> None:
    """Collections delete what lies in `tmp`, `store` and `logs` of a root."""
    project = shop.folder / "project"
    for name in ("tmp/notes.txt", "logs/today", "locks/mine"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("mine\n")
    before = snapshot(project)
    for command in (["gc"], ["reindex"], ["optimise"], ["verify", "--repair"], ["doctor"], ADDING):
        ended = cli.run("--root", str(project), *command)
        assert "Traceback" not in ended.error and (ended.code != 0 or command == ["doctor"]), ended.text
        assert snapshot(project) == before, command
    assert "neither a store nor an empty folder" in cli.run("--root", str(project), *ADDING).error


def test_a_store_is_made_where_there_is_room_for_one(shop: Shop, cli: CommandLine) -> None:
    new = shop.folder / "new"
    new.mkdir()
    (new / "config.toml").write_text("[gc]\nkeep = 3\n")
    (new / "lost+found").mkdir()
    assert cli.run("--root", str(new), *ADDING).code == 0
    (new / "mine").write_text("in a store people may put what they like\n")
    assert cli.run("--root", str(new), "gc").code == 0 and (new / "mine").exists()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_world(tmp_path_factory.mktemp("locks"))
    made.realise()
    return made


LOCK_FILES = ("pylock.{}.toml", "pylock.{}.meta.json", "requirements-{}.in", "packages-{}.txt")


@pytest.mark.parametrize("file", LOCK_FILES)
@pytest.mark.slow
def test_locks_replace_nothing_of_others(world: World, tmp_path: Path, file: str) -> None:
    """Refused before uv is asked: it would not be found."""
    decoy = make_decoys(tmp_path / "decoy")
    place = world.spec.parent / "requirements" / "framework-mid" / file.format("framework-mid")
    kept = place.read_bytes()
    with CommandLine({**world.environment(), "UV": "/gone"}) as cli:
        for kind in KINDS:
            if kind in ("nothing", "a device") or (file.endswith(".toml") and " file" in kind and "link" not in kind):
                continue
            place.unlink()
            KINDS[kind](place, decoy)
            before = snapshot(world.spec.parent), snapshot(decoy)
            ended = cli.run("--root", str(world.root), "lock", str(world.spec), "--upgrade", "--no-index")
            told = f"{kind}: {ended.text}"
            assert ended.code in (2, 3, 4, 6) and "Traceback" not in ended.error and str(place) in ended.error, told
            assert (snapshot(world.spec.parent), snapshot(decoy)) == before, told
            if kind in ("a folder", "a folder nobody may write"):
                place.chmod(0o755)
                (place / "notes.txt").unlink()
            (place.rmdir if place.is_dir() and not place.is_symlink() else place.unlink)()
            place.write_bytes(kept)
