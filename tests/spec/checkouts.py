"""Git checkouts made for tests: ordinary ones, and those that would have git start a program of their choice."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

FILES = {
    "stack.toml": b"",
    "package/__init__.py": b"",
    "package/new.py": b"untracked\n",
    "package/kept.log": b"tracked though ignored\n",
    "package/gone.log": b"ignored\n",
    "package/deep/data.txt": b"",
    "package/build/out.py": b"ignored\n",
    ".gitignore": b"*.log\nbuild/\n",
}
LISTED = ["__init__.py", "deep/data.txt", "kept.log", "new.py"]  # of package
Trick = Callable[[Path, Path], None]


def git(folder: Path, *arguments: str, check: bool = True) -> bytes:
    """Run git without any configuration but the folder's own."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    names = {f"GIT_{who}_{what}": "n@x.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-C", str(folder), "-c", "safe.directory=*", *arguments]
    done = subprocess.run(command, check=check, capture_output=True, env={**clean, **alone, **names}, timeout=60)
    return done.stdout


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def make_repository(folder: Path) -> Path:
    """A checkout with files that are tracked, new, ignored, and tracked though ignored."""
    write_files(folder, FILES)
    git(folder, "init", "-q")
    git(folder, "add", "-f", "package/__init__.py", "package/kept.log", "package/deep", ".gitignore", "stack.toml")
    git(folder, "commit", "-qm", "first")
    return folder


def git_listing(folder: Path, module: str) -> list[str]:
    """The files of a module as git lists them, those that are there; names of git's own left out."""
    out = git(folder / module, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = sorted({os.fsdecode(name) for name in out.split(b"\0") if name})
    return [
        name
        for name in names
        if os.path.lexists(folder / module / name)
        and not any(part.startswith(".git") or part == "__pycache__" for part in name.split("/"))
    ]


def write_config(repository: Path, text: str) -> None:
    """Add to a repository's configuration, as whoever publishes it can."""
    with open(repository / ".git" / "config", "a") as file:
        file.write(text)


def _configured(text: str) -> Trick:
    return lambda repository, program: write_config(repository, text.replace("PROGRAM", str(program)))


def _hooks(repository: Path, program: Path) -> None:
    names = ("post-index-change", "fsmonitor-watchman", "post-checkout", "pre-auto-gc", "reference-transaction")
    for name in names:
        shutil.copy(program, repository / ".git" / "hooks" / name)
    write_config(repository, f"[core]\nhooksPath = {program.parent}\nfsmonitor = .git/hooks/fsmonitor-watchman\n")


def _filters(repository: Path, program: Path) -> None:
    (repository / ".gitattributes").write_text("* filter=x diff=x merge=x\n")
    lines = "".join(f"{key} = {program}\n" for key in ("clean", "smudge", "process"))
    write_config(repository, f'[filter "x"]\n{lines}required = true\n[diff "x"]\ntextconv = {program}\n')
    write_config(repository, f'[merge "x"]\ndriver = {program}\n[diff]\nexternal = {program}\n')


def _promisor(repository: Path, program: Path) -> None:
    """A sparse index that names a tree which only the promisor has."""
    write_files(repository, {"aside/inner/file.txt": b"x\n", "package/build/x.txt": b"ignored\n"})
    git(repository, "add", "aside")
    git(repository, "commit", "-qm", "second")
    kept = sorted(path.name for path in repository.iterdir() if path.is_dir() and path.name not in ("aside", ".git"))
    git(repository, "sparse-checkout", "set", "--cone", "--sparse-index", *kept)
    tree = git(repository, "rev-parse", "HEAD:aside").decode().strip()
    (repository / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    write_config(repository, f'[extensions]\npartialClone = x\n[remote "x"]\npromisor = true\nuploadpack = {program}\n')
    write_config(repository, f"url = {repository}/nowhere\n[core]\nrepositoryformatversion = 1\n")


def _ext_url(repository: Path, program: Path) -> None:
    _promisor(repository, program)
    write_config(repository, f'[remote "x"]\nurl = ext::{program}\n[protocol "ext"]\nallow = always\n')


def _ssh(repository: Path, program: Path) -> None:
    _promisor(repository, program)
    write_config(repository, f'[core]\nsshCommand = {program}\n[remote "x"]\nurl = ssh://x.example/x\n')


def _submodule(repository: Path, program: Path) -> None:
    inner = repository / "package" / "deep" / "inner"
    inner.mkdir(parents=True)
    git(inner, "init", "-q")
    write_config(inner, f"[core]\nfsmonitor = {program}\n")
    (repository / ".gitmodules").write_text(
        f'[submodule "x"]\npath = package/deep/inner\nurl = ext::{program}\nupdate = !{program}\n'
    )
    write_config(repository, f'[submodule "x"]\nactive = true\nurl = ext::{program}\nupdate = !{program}\n')


def _include(repository: Path, program: Path) -> None:
    (repository / "evil").write_text(f"[core]\nfsmonitor = {program}\n")
    write_config(repository, f'[include]\npath = ../evil\n[includeIf "gitdir:{repository}/"]\npath = ../evil\n')


def _worktree_config(repository: Path, program: Path) -> None:
    (repository / ".git" / "config.worktree").write_text(f"[core]\nfsmonitor = {program}\n")
    write_config(repository, "[extensions]\nworktreeConfig = true\n[core]\nrepositoryformatversion = 1\n")


def _git_file(repository: Path, program: Path) -> None:
    """The repository lies elsewhere, and its configuration in yet another place."""
    write_config(repository, f"[core]\nfsmonitor = {program}\n")
    (repository / ".git").rename(repository / "elsewhere")
    (repository / ".git").write_text("gitdir: elsewhere\n")
    (repository / "elsewhere" / "commondir").write_text(".\n")


def _alternates(repository: Path, program: Path) -> None:
    os.mkfifo(repository / ".git" / "pipe")
    (repository / ".git" / "objects" / "info").mkdir(exist_ok=True)
    (repository / ".git" / "objects" / "info" / "alternates").write_text(f"{repository}/.git/pipe\n")


def _config_is_a_pipe(repository: Path, program: Path) -> None:
    (repository / ".git" / "config").unlink()
    os.mkfifo(repository / ".git" / "config")


def _excludes_all(repository: Path, program: Path) -> None:
    (repository / "all").write_text("*\n")
    write_config(repository, f"[core]\nexcludesFile = {repository}/all\nattributesFile = {repository}/all\n")


TRICKS: dict[str, Trick] = {
    "fsmonitor": _configured("[core]\nfsmonitor = PROGRAM\n"),
    "fsmonitor, second version": _configured("[core]\nfsmonitor = PROGRAM\nfsmonitorHookVersion = 2\n"),
    "hooks": _hooks,
    "filters": _filters,
    "promisor": _promisor,
    "ext url": _ext_url,
    "ssh command": _ssh,
    "submodule": _submodule,
    "include": _include,
    "configuration of a worktree": _worktree_config,
    "git file": _git_file,
    "alternates": _alternates,
    "pipe": _config_is_a_pipe,
    "excludes": _excludes_all,
    "pager": _configured("[core]\npager = PROGRAM\n[pager]\nls-files = PROGRAM\nstatus = PROGRAM\n"),
    "alias": _configured("[alias]\nls-files = !PROGRAM\nstatus = !PROGRAM\n"),
    "helpers": _configured("[credential]\nhelper = !PROGRAM\n[core]\naskPass = PROGRAM\neditor = PROGRAM\n"),
    "gpg": _configured("[gpg]\nprogram = PROGRAM\n[commit]\ngpgSign = true\n[log]\nshowSignature = true\n"),
    "other work tree": _configured("[core]\nworktree = /etc\n"),
    "bare": _configured("[core]\nbare = true\n"),
    "unknown extension": _configured("[extensions]\nsurprise = true\n[core]\nrepositoryformatversion = 99\n"),
    "broken configuration": _configured("[core\nfsmonitor PROGRAM\n"),
}
STARTED_BY_GIT = ("fsmonitor", "include", "hooks", "promisor", "git file")  # by `git ls-files` of 2.39


def make_program(folder: Path) -> Path:
    """A program that leaves a file `ran` beside itself."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "program"
    program.write_text(f"#!/bin/sh\necho \"$0 $*\" >> '{folder}/ran'\n")
    program.chmod(0o755)
    return program
