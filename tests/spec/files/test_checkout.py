"""Checkouts as data: no program is started, no configuration is read, and the answer is git's all the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.spec.checkouts import (
    FILES,
    LISTED,
    STARTED_BY_GIT,
    TRICKS,
    git,
    git_listing,
    make_program,
    make_repository,
    write_files,
)
from vstore.spec.files.checkout import find_checkout
from vstore.spec.files.listing import list_files

OWNERS = frozenset({os.geteuid()})
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is needed to compare with")

_ALONE = """
import json, os, sys
def hook(event, arguments):
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "pty.spawn"):
        print("started a program:", event, arguments, file=sys.stderr)
        os._exit(9)
sys.addaudithook(hook)
from pathlib import Path
from vstore.spec.files.listing import list_files
names = list_files(Path(sys.argv[1]), frozenset({os.geteuid()}))
print(json.dumps(sorted(map(os.fsdecode, names))))
"""


def listing(folder: Path, module: str = "package") -> list[str]:
    return sorted(os.fsdecode(name) for name in list_files(folder / module, OWNERS))


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_starts_no_program_and_changes_nothing(tmp_path: Path, name: str) -> None:
    repository = make_repository(tmp_path / "repository")
    program = make_program(tmp_path / "tools")
    TRICKS[name](repository, program)

    command = [sys.executable, "-c", _ALONE, str(repository / "package")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == LISTED
    assert not (tmp_path / "tools" / "ran").exists()


@pytest.mark.parametrize("name", STARTED_BY_GIT)
def test_git_itself_starts_the_program(tmp_path: Path, name: str) -> None:
    """So the tricks are what they are said to be."""
    repository = make_repository(tmp_path / "repository")
    program = make_program(tmp_path / "tools")
    TRICKS[name](repository, program)

    git(repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard", check=False)
    assert (tmp_path / "tools" / "ran").exists()


@pytest.mark.parametrize("index", ["2", "3", "4", "sha256", "none"])
def test_every_index_that_git_writes(tmp_path: Path, index: str) -> None:
    folder = tmp_path / "r"
    write_files(folder, {**FILES, f"package/{'long' * 60}/{'name' * 60}.log": b""})
    git(folder, "init", "-q", *(["--object-format=sha256"] if index == "sha256" else []))
    if index != "none":
        git(folder, "add", "-f", ".")
        git(folder, "rm", "-q", "--cached", "package/gone.log", "package/build/out.py")
    if index == "3":
        git(folder, "add", "-N", "-f", "package/build/out.py")
    if index in "234":
        git(folder, "update-index", "--index-version", index)
        assert (folder / ".git" / "index").read_bytes()[7] == int(index)

    assert listing(folder) == git_listing(folder, "package")


def test_an_index_that_is_split_is_refused_with_the_way_out(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    git(repository, "update-index", "--split-index")
    with pytest.raises(ValueError, match="git update-index --no-split-index"):
        listing(repository)
    git(repository, "update-index", "--no-split-index")
    assert listing(repository) == LISTED


@pytest.mark.parametrize("seed", range(15))
def test_a_spoilt_index_is_an_error_or_an_answer(tmp_path: Path, seed: int) -> None:
    repository = make_repository(tmp_path)
    chance = random.Random(seed)
    git(repository, "update-index", "--index-version", chance.choice("24"))
    file = repository / ".git" / "index"
    data = bytearray(file.read_bytes())
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    file.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
    found: list[str] = []
    with suppress(ValueError):  # and no other error
        found = listing(repository)
    assert set(found) <= {*LISTED, "build/out.py", "gone.log"}


def test_an_index_that_would_grow_without_end(tmp_path: Path) -> None:
    """Each path of version 4 repeats the one before it: a small file would take terabytes."""
    repository = make_repository(tmp_path)
    entry = bytes(60) + (0xFFF).to_bytes(2, "big") + b"\0" + b"a" * 100 + b"\0"
    first = bytes(60) + (0xFFF).to_bytes(2, "big") + b"\0" + b"a" * 5000 + b"\0"
    data = b"DIRC" + (4).to_bytes(4, "big") + (200_000).to_bytes(4, "big") + first + entry * 200_000 + bytes(20)
    (repository / ".git" / "index").write_bytes(data)
    with pytest.raises(ValueError, match="cannot be read"):
        listing(repository)


def test_a_file_system_is_not_left_and_an_unrelated_folder_has_no_checkout(tmp_path: Path) -> None:
    (tmp_path / "plain" / ".git").mkdir(parents=True)
    assert find_checkout(tmp_path / "plain", OWNERS) is None
    assert find_checkout(Path("/proc/self"), OWNERS) is None


def test_a_repository_of_another_user_is_not_there(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "r")
    assert listing(repository) == LISTED
    others = frozenset({os.geteuid() + 1})
    found = sorted(os.fsdecode(name) for name in list_files(repository / "package", others))
    assert found == ["__init__.py", "build/out.py", "deep/data.txt", "gone.log", "kept.log", "new.py"]


_NAMES = ["a", "b", "ab", "a.log", "b.py", "x y", "end ", "[a", "#a", "!a", "a\\b", "é", "d"]
_LINES = [
    "*.log", "a", "/a", "a/", "/d/", "d/*", "!d/a", "**/b", "d/**", "a/**/b", "!*.py", "*", "!*/", "[ab]", "[!a]*",
    "\\#a", "\\!a", "#a", "!a", "end\\ ", "end ", "x y", "a\\\\b", "\\[a", "?", "d/**/a", "**/d/", "é", "", "/", "**",
    "a**b", "!/a/", "b.*", "[[:alpha:]]", "*.l?g\r", "/*", "!/d",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_ordinary_checkouts_have_gits_answer(tmp_path: Path, seed: int) -> None:
    """Nested rules, negations, folders, escapes; tracked files, also in ignored folders; checkouts in one another."""
    chance = random.Random(seed)
    top = tmp_path / "r"
    git_folders = [top, *([top / "d" / "inner"] if seed % 3 == 0 else [])]
    for folder in git_folders:
        folder.mkdir(parents=True)
        git(folder, "init", "-q")
    for _ in range(40):
        parts = [chance.choice(_NAMES) for _ in range(chance.randint(1, 5))]
        place = top.joinpath(*parts)
        if not any(parent.is_file() for parent in place.parents) and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    folders = [path for path in top.rglob("*") if path.is_dir() and ".git" not in path.parts]
    for folder in [top, *chance.sample(folders, min(3, len(folders)))]:
        lines = [chance.choice(_LINES) for _ in range(chance.randint(1, 6))]
        (folder / ".gitignore").write_bytes("\n".join(lines).encode() + chance.choice([b"", b"\n"]))
    (top / ".git" / "info" / "exclude").write_text("\n".join(chance.sample(_LINES, 2)) + "\n")
    files = sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file() and ".git" not in path.parts)
    for name in chance.sample(files, min(6, len(files))):
        if "d/inner" not in name:
            git(top, "--literal-pathspecs", "add", "-f", "--", name)

    for module in [".", *(str(folder.relative_to(top)) for folder in folders)]:
        if "d/inner" in module or not (theirs := git_listing(top, module)):
            continue
        inner = [name for name in theirs if (top / module / name).is_dir()]
        expected = set(theirs) - set(inner)
        for name in inner:
            expected |= {os.path.normpath(os.path.join(name, below)) for below in git_listing(top / module / name, ".")}
        assert listing(top, module) == sorted(expected), module


def test_folders_in_one_another_without_end(tmp_path: Path) -> None:
    (tmp_path / "m" / "/".join("d" * 250)).mkdir(parents=True)
    with pytest.raises(ValueError, match="more than 200 nested folders"):
        list_files(tmp_path / "m", OWNERS)


def test_rules_that_are_no_file(tmp_path: Path) -> None:
    """Git follows no link here; a pipe would keep it waiting."""
    repository = make_repository(tmp_path)
    (repository / "rules").write_text("*\n")
    (repository / "package" / ".gitignore").symlink_to("../rules")
    assert listing(repository) == LISTED
    (repository / "package" / ".gitignore").unlink()
    (repository / "package" / ".gitignore").mkdir()
    assert listing(repository) == LISTED
    (repository / "package" / ".gitignore").rmdir()
    os.mkfifo(repository / "package" / ".gitignore")
    with pytest.raises(OSError, match="it is a FIFO"):
        listing(repository)


def test_a_pattern_made_to_take_for_ever(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    name = "a" * 250
    write_files(repository, {f"package/{name}": b"", "package/" + "/".join("a" * 150) + "/a": b""})
    (repository / ".gitignore").write_text("*a" * 100 + "b\n" + "**/a/" * 80 + "b\n" + "[a-z]*" * 60 + "0\n")
    assert name in listing(repository)
