"""Propose and lock specs for projects of other tools, and compare every locked version with the one that they pin.

    .venv/bin/python -m scripts.matrix.migration LIST [--work FOLDER] [--realise] [--build]

Each line of LIST is a file of a project (or a virtual environment), and options of ``vstore init``, as for a shell::

    ~/projects/shop/pyproject.toml --extra web --group batch

The folder of the file is copied, so that nothing is written beside it. The versions of the source are read here
without the code of vstore: those in the tables of a lock, and those after ``==``. With --build, the wheels that the
proposal says are missing are built first, by ``pip wheel``, which runs code of these packages.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

_PINNED = re.compile(r"^\s*-?\s*\"?([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*===?\s*([\w.!+-]+)\"?\s*(?:[;#\\].*)?$")


@dataclass(frozen=True)
class Outcome:
    """The result of one project. `changed` are the packages with another version than the source pins."""

    source: str
    problem: str
    layers: int = 0
    locked: int = 0
    kept: int = 0
    changed: tuple[str, ...] = ()
    left_out: int = 0
    seconds: float = 0.0

    @property
    def line(self) -> str:
        """The outcome as a row of a table."""
        state = self.problem or (f"changed: {', '.join(self.changed)}" if self.changed else "every pin kept")
        numbers = f"{self.layers} | {self.locked} | {self.kept} | {self.left_out} | {self.seconds:.0f}"
        return f"| {self.source} | {numbers} | {state} |"


def pins_of(file: Path) -> dict[str, set[str]]:
    """Return the versions that a source pins, by name; with a pyproject.toml those of the lock beside it."""
    found: dict[str, set[str]] = {}
    for name, version in _pins(file):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def _pins(file: Path) -> Iterator[tuple[str, str]]:
    if file.name == "pyproject.toml":
        locks = [file.parent / name for name in ("uv.lock", "poetry.lock", "pdm.lock")]
        file = next((lock for lock in locks if lock.is_file()), file)
    if file.is_dir():
        for info in file.glob("lib/python*/site-packages/*.dist-info"):
            name, version = info.name.removesuffix(".dist-info").rsplit("-", 1)
            yield name, version
    elif file.suffix in (".lock", ".toml") and file.name != "pyproject.toml":
        document = tomllib.loads(file.read_text("utf-8"))
        for package in document.get("package", document.get("packages", [])):
            if "version" in package:
                yield package["name"], package["version"]
    else:
        for line in file.read_text("utf-8").splitlines():
            if match := _PINNED.match(line):
                yield match[1], match[2]


def locked_versions(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield name and version of the packages that the layers of a spec install."""
    for lock in folder.glob("requirements/*/pylock.*.toml"):
        for package in tomllib.loads(lock.read_text("utf-8")).get("packages", []):
            if "from_lower_layer" not in package.get("marker", ""):
                yield canonicalize_name(package["name"]), package.get("version", "")


def same(version: str, wanted: set[str]) -> bool:
    """Return whether a version is one of those wanted, without regard to zeros and local parts that were not given."""
    return any(Version(version) == Version(one) or version.partition("+")[0] == one for one in wanted)


def build_wheels(proposal: Mapping[str, Any], folder: Path) -> int:
    """Build the wheels that a proposal says are missing, and return how many there are now."""
    for note in proposal["left_out"]:
        if found := re.search(r"`(pip wheel [^`]*)`", note["reason"]):
            subprocess.run([sys.executable, "-m", *shlex.split(found[1])], cwd=folder, capture_output=True, text=True)
    return len(list(folder.glob("wheels/*.whl")))


def run_project(line: str, work: Path, *, realise: bool, build: bool) -> Outcome:
    """Propose and lock a spec for the project of one line."""
    path, *options = shlex.split(line, comments=True)
    source = Path(path).expanduser().resolve()
    title = f"{source.parent.name}/{source.name} {' '.join(options)}".strip()
    copy = work / "projects" / re.sub(r"\W+", "-", title)
    shutil.copytree(source.parent, copy, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
    started = time.monotonic()
    vstore = [sys.executable, "-m", "vstore", "--root", str(work / "root"), "--no-progress"]
    spec = copy / "spec.toml"
    command = [*vstore, "--json", "init", str(copy), "--from", str(copy / source.name), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return Outcome(title, f"init: {json.loads(done.stdout)['error']['message']}")
    proposal, wanted = json.loads(done.stdout), pins_of(source)
    verb = ["realise", "--profile", copy.name] if realise else ["lock"]
    if build and build_wheels(proposal, copy):
        verb += ["--local-wheels", str(copy / "wheels")]
    done = subprocess.run([*vstore, *verb, str(spec)], capture_output=True, text=True)
    (copy / "log.txt").write_text(done.stdout + done.stderr)
    seconds = time.monotonic() - started
    problem = "" if not done.returncode else f"{verb[0]}: {' / '.join(done.stderr.strip().splitlines()[-4:])}"
    locked = dict.fromkeys(locked_versions(copy))
    pinned = [(name, version) for name, version in locked if name in wanted]
    changed = [f"{name} {version}" for name, version in pinned if not same(version, wanted[name])]
    return Outcome(
        title,
        problem,
        layers=len(proposal["layers"]),
        locked=len(locked),
        kept=len(pinned) - len(changed),
        changed=tuple(changed),
        left_out=len(proposal["left_out"]),
        seconds=seconds,
    )


def main() -> None:
    """Run the projects of a list, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list", type=Path, help="file with a project a line")
    parser.add_argument("--work", type=Path, default=Path("migration"), help="folder for copies, locks and the store")
    parser.add_argument("--realise", action="store_true", help="also build the layers")
    parser.add_argument("--build", action="store_true", help="also build the wheels that are missing")
    options = parser.parse_args()
    print("| source | layers | packages | pins kept | left out | seconds | outcome |\n|---|---|---|---|---|---|---|")
    for line in options.list.read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            outcome = run_project(line, options.work.resolve(), realise=options.realise, build=options.build)
            print(outcome.line, flush=True)


if __name__ == "__main__":
    main()
