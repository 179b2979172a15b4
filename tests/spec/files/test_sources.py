from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from tests.spec.specs import PYTHON, loaded, make_checkout
from vstore.errors import SpecError
from vstore.fs.trees.scan import scan
from vstore.spec import Spec, copy_source, source_files, source_manifest
from vstore.spec.files.module_roots import ModuleRoots
from vstore.spec.files.sources import read_source

PACKAGE = PurePosixPath("package")


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return loaded(tmp_path, PYTHON)


def add(spec: Spec, name: str, data: bytes = b"") -> Path:
    path = spec.path.parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(spec: Spec, module: PurePosixPath = PACKAGE) -> list[str]:
    return [str(relative) for relative, _ in source_files(spec, module)]


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True)


def test_a_file_is_itself(spec: Spec) -> None:
    assert source_files(spec, PurePosixPath("main.py")) == ((PurePosixPath("main.py"), spec.path.parent / "main.py"),)


def test_a_folder_is_its_files_without_bytecode_folders(spec: Spec) -> None:
    for name in ("package/sub/z.txt", "package/sub.py", "package/__pycache__/x.pyc", "package/sub/__pycache__/y.pyc"):
        add(spec, name)
    (spec.path.parent / "package" / "empty").mkdir()
    assert names(spec) == ["package/__init__.py", "package/__main__.py", "package/sub.py", "package/sub/z.txt"]


def test_each_difference_counts(spec: Spec) -> None:
    seen = {source_manifest(spec, PACKAGE).digest}
    add(spec, "package/ab/c", b"1")
    seen.add(source_manifest(spec, PACKAGE).digest)
    add(spec, "package/ab/c", b"2")
    seen.add(source_manifest(spec, PACKAGE).digest)
    (spec.path.parent / "package/ab/c").chmod(0o755)
    seen.add(source_manifest(spec, PACKAGE).digest)
    (spec.path.parent / "package/ab/c").rename(spec.path.parent / "package/ab/d")
    seen.add(source_manifest(spec, PACKAGE).digest)
    add(spec, "other/ab/d", b"2").chmod(0o755)
    seen.add(source_manifest(spec, PurePosixPath("other")).digest)
    assert len(seen) == 6


def test_times_and_the_place_do_not_count(spec: Spec, tmp_path: Path) -> None:
    other = loaded(tmp_path / "elsewhere", PYTHON)
    os.utime(other.path.parent / "package" / "__init__.py", (5, 5))
    (other.path.parent / "package" / "__init__.py").chmod(0o600)
    assert source_manifest(spec, PACKAGE) == source_manifest(other, PACKAGE)


def test_a_name_that_is_no_text(spec: Spec) -> None:
    add(spec, os.fsdecode(b"package/\xff.py"))
    assert source_files(spec, PACKAGE)[-1][1].exists()
    assert source_manifest(spec, PACKAGE)


def test_a_checkout_leaves_out_what_git_ignores(spec: Spec) -> None:
    git(spec.path.parent, "init", "-q")
    add(spec, ".gitignore", b"*.log\n/package/build/\n")
    for name in ("package/new.py", "package/kept.log", "package/x.log", "package/build/y.py", "package/.gitkeep"):
        add(spec, name)
    add(spec, "package/__pycache__/x.pyc")
    git(spec.path.parent, "add", "-f", "package/kept.log", "package/__pycache__", "package/__init__.py")
    assert names(spec) == ["package/__init__.py", "package/__main__.py", "package/kept.log", "package/new.py"]


def test_a_checkout_above_counts_and_a_removed_file_does_not(spec: Spec, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    add(spec, "package/gone.py")
    git(tmp_path, "add", ".")
    (spec.path.parent / "package/gone.py").unlink()
    add(spec, "package/.gitignore", b"__main__.py\n")
    git(tmp_path, "rm", "-q", "--cached", "project/package/__main__.py")
    assert names(spec) == ["package/__init__.py"]


def test_a_worktree_is_a_checkout(spec: Spec, tmp_path: Path) -> None:
    add(spec, ".gitignore", b"*.log\n")
    git(spec.path.parent, "init", "-q")
    git(spec.path.parent, "add", ".")
    git(spec.path.parent, "-c", "user.name=n", "-c", "user.email=n@x.example", "commit", "-qm", "first")
    git(spec.path.parent, "worktree", "add", "-q", str(tmp_path / "tree"))
    other = loaded(tmp_path / "unused", PYTHON)
    (tmp_path / "tree" / "package" / "x.log").touch()
    path = tmp_path / "tree" / "stack.toml"
    moved = replace(other, path=path, module_roots=ModuleRoots.of(path))
    assert names(moved) == ["package/__init__.py", "package/__main__.py"]


def test_a_checkout_inside_the_module(spec: Spec) -> None:
    git(spec.path.parent, "init", "-q")
    add(spec, "package/inner/a.py")
    add(spec, "package/inner/.gitignore", b"b.py\n")
    add(spec, "package/inner/b.py")
    git(spec.path.parent / "package/inner", "init", "-q")
    assert names(spec) == ["package/__init__.py", "package/__main__.py", "package/inner/a.py"]


def test_what_the_spec_names_counts_though_git_ignores_it(spec: Spec) -> None:
    git(spec.path.parent, "init", "-q")
    add(spec, ".gitignore", b"package/\nmain.py\n")
    assert names(spec) == ["package/__init__.py", "package/__main__.py"]
    assert names(spec, PurePosixPath("main.py")) == ["main.py"]


def test_an_ignored_checkout_never_gives_its_git_folder(spec: Spec) -> None:
    git(spec.path.parent / "package", "init", "-q")
    add(spec, "package/.gitignore", b"*\n")
    assert names(spec) == ["package/__init__.py", "package/__main__.py"]


def test_a_link_to_a_file_inside_is_that_file(spec: Spec) -> None:
    (spec.path.parent / "package/link.py").symlink_to("../help.py")
    assert (PurePosixPath("package/link.py"), spec.path.parent / "help.py") in source_files(spec, PACKAGE)


@pytest.mark.parametrize("in_git", [False, True])
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("../../beside.py", "leads out of the spec's folder"),
        ("/etc/passwd", "leads out of the spec's folder"),
        ("../../..", "leads out of the spec's folder"),
        ("..", "is a link to a folder"),
        ("nothing", "is a link to nothing"),
        ("link.py", "is a link to nothing"),
    ],
)
def test_a_bad_link_in_a_module(spec: Spec, target: str, said: str, in_git: bool) -> None:
    if in_git:
        git(spec.path.parent, "init", "-q")
    (spec.path.parent / "package/link.py").symlink_to(target)
    with pytest.raises(SpecError, match=said) as caught:
        source_manifest(spec, PACKAGE)
    assert "stack.toml: module package: link.py" in caught.value.message


def test_nothing_above_the_folder_or_the_checkout_without_a_word(spec: Spec, tmp_path: Path) -> None:
    """A spec that is cloned could publish any file that its user can read."""
    beside = PurePosixPath("../beside.py")
    with pytest.raises(
        SpecError, match=f"out of the spec's folder, to {tmp_path}/beside.py; --allow-outside {tmp_path}"
    ):
        source_files(spec, beside)
    assert names(replace(spec, module_roots=ModuleRoots.of(spec.path, [tmp_path])), beside) == ["beside.py"]
    make_checkout(tmp_path)
    spec = replace(spec, module_roots=ModuleRoots.of(spec.path))
    assert names(spec, beside) == ["beside.py"]
    with pytest.raises(SpecError, match="out of the spec's folder, to /etc/passwd"):
        source_files(spec, PurePosixPath(os.path.relpath("/etc/passwd", spec.path.parent)))


def test_a_folder_that_the_user_allows_holds_links_targets(spec: Spec, tmp_path: Path) -> None:
    (spec.path.parent / "package/link.py").symlink_to("../../beside.py")
    allowed = replace(spec, module_roots=ModuleRoots.of(spec.path, [tmp_path / "other", tmp_path]))
    assert (PurePosixPath("package/link.py"), tmp_path / "beside.py") in source_files(allowed, PACKAGE)


def test_a_tracked_path_through_a_link_leads_nowhere(spec: Spec, tmp_path: Path) -> None:
    """The index may name `package/way/beside.py`, and `way` be a link that leads out and is ignored."""
    git(spec.path.parent, "init", "-q")
    add(spec, "package/way/beside.py")
    git(spec.path.parent, "add", ".")
    (spec.path.parent / "package/way/beside.py").unlink()
    (spec.path.parent / "package/way").rmdir()
    (spec.path.parent / "package/way").symlink_to(tmp_path)
    add(spec, ".gitignore", b"way\n")
    assert names(spec) == ["package/__init__.py", "package/__main__.py"]


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is kept by Linux")
@pytest.mark.slow
def test_a_large_file_takes_no_memory(spec: Spec, tmp_path: Path) -> None:
    with open(add(spec, "package/large"), "wb") as file:
        file.truncate(3 << 30)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from pathlib import Path, PurePosixPath; from vstore.spec import load, source_manifest\n"
        "from vstore.lock.record import module_hash; spec = load(Path(sys.argv[1]))\n"
        "print(source_manifest(spec, PurePosixPath('package')).digest, module_hash(spec, PurePosixPath('package')))"
    )
    done = subprocess.run([sys.executable, "-c", code, spec.path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_copy_is_what_is_hashed(spec: Spec, tmp_path: Path) -> None:
    add(spec, "package/run", b"#!/bin/sh\n").chmod(0o700)
    add(spec, "package/large", bytes(3 << 20))
    copy_source(spec, PACKAGE, tmp_path / "copy")
    assert scan(tmp_path / "copy") == source_manifest(spec, PACKAGE)
    assert (tmp_path / "copy/source/package/large").read_bytes() == bytes(3 << 20)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "copy/source/package").iterdir()}
    assert (modes["run"], modes["large"]) == (0o755, 0o644)
    with pytest.raises(FileExistsError):
        copy_source(spec, PACKAGE, tmp_path / "copy")


def test_a_file_that_grows_while_it_is_read_is_refused(spec: Spec) -> None:
    file = add(spec, "package/log", bytes(2 << 20))
    pieces = read_source(spec, PurePosixPath("package/log"), file)
    next(pieces)
    with open(file, "ab") as log:
        log.write(b"more")
    with pytest.raises(SpecError, match="package/log cannot be read: it changed while it was read"):
        list(pieces)


@pytest.mark.parametrize("name", [b"a\nb.py", b"\xff.py", b"\x1b[31m.py", "\u202e.py".encode(), b"x" * 255])
def test_errors_name_a_file_on_one_line(spec: Spec, name: bytes) -> None:
    os.mkfifo(os.fsencode(spec.path.parent / "package") + b"/" + name)
    with pytest.raises(SpecError, match="is neither a file nor a folder") as caught:
        source_files(spec, PACKAGE)
    assert caught.value.message.isprintable()


def test_a_special_file_is_refused(spec: Spec) -> None:
    os.mkfifo(spec.path.parent / "package/pipe")
    with pytest.raises(SpecError, match="pipe is neither a file nor a folder"):
        source_files(spec, PACKAGE)


def test_a_module_that_went_away(spec: Spec) -> None:
    with pytest.raises(SpecError, match=r"module gone\.py: does not exist"):
        source_manifest(spec, PurePosixPath("gone.py"))
