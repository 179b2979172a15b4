"""The order in which this Python keeps sets reaches no digest, no file and no message."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

from scripts.reliability.crashes.sweep import SOURCE
from scripts.testing.world import World

pytestmark = pytest.mark.slow

SEEDS = range(6)
SYSTEM = Path("/usr/bin/python3")
_TIME = re.compile(r"\b\d+\.\d+\b|\d{4}-\d\d-\d\d[T ][\d:Z]+")
_PROGRESS = re.compile(r"[\w.-]+: [a-z]+ing\b")  # of what takes longer than a second

ADOPT = """
import sys; from pathlib import Path
from vstore.build.interpreter.adopt import adopt; from vstore.build.interpreter.local import find_local
from vstore.fs.trees.scan import scan; from vstore.reporter import NullReporter
found = [one for one in find_local({"PATH": "/usr/bin"}) if one.is_system]
adopt(found[0], Path(sys.argv[1]), jobs=1, reporter=NullReporter())
print(scan(Path(sys.argv[1])).digest)
"""

RELOCATE = """
from vstore.build.interpreter.relocate import relocatable_sysconfig
folders = {"prefix": "/opt/py", "abs_srcdir": "/src/python", "abs_builddir": "/src/python/build/static"}
texts = {f"FLAGS{number}": f"-I{folder}/include -L{folder}" for number, folder in enumerate(folders.values())}
print(relocatable_sysconfig(f"build_time_vars = {folders | texts}", "/opt/py"))
"""


def under_each_seed(program: str, *arguments: str) -> set[str]:
    """The outputs of a Python program, one for each seed unless they are equal."""
    return {
        subprocess.run(
            [sys.executable, "-c", program, *(argument.format(seed=seed) for argument in arguments)],
            capture_output=True,
            text=True,
            check=True,
            cwd=SOURCE,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in SEEDS
    }


@pytest.mark.fast
def test_the_text_of_an_interpreter_whose_folders_lie_in_one_another() -> None:
    (text,) = under_each_seed(RELOCATE)
    assert "'FLAGS2': '-I/build/include -L/build'" in text
    assert "/build/build" not in text


def test_an_adopted_interpreter_of_the_system(tmp_path: Path) -> None:
    if sys.platform != "linux" or not SYSTEM.exists():
        pytest.skip("adopting the system's Python needs a Linux that has one")
    assert len(under_each_seed(ADOPT, f"{tmp_path}/{{seed}}")) == 1


def test_locks_layers_archives_and_messages(world: World, tmp_path: Path) -> None:
    found = [journey(world, tmp_path / str(seed), seed) for seed in SEEDS[::2]]
    for one in found[1:]:
        assert one == found[0]


def journey(world: World, folder: Path, seed: int) -> dict[str, str]:
    """What each step gives: the digests of the files it wrote, and what it said but for the time that it took."""
    there = World(folder, folder / "root")
    shutil.copytree(world.folder / "project", folder / "project")
    shutil.copytree(world.wheels, there.wheels)
    wheels = ("--local-wheels", str(there.wheels), "--no-index")
    steps = {
        "show": ("show", str(there.spec)),
        "lock": ("lock", str(there.spec), *wheels),
        "realise": ("realise", str(there.spec), "-j", "1", *wheels),
        "tree": ("--json", "tree", "app-hello"),
        "pack": ("pack", "project", "-o", str(folder / "bundle")),
        "publish": ("publish", str(there.spec), "--output-dir", str(folder / "published"), *wheels),
        "push": ("push", f"file://{folder}/cache", "project"),
        "cache": ("cache", "ls", f"file://{folder}/cache"),
        "dead": ("delete", "app-hello", "framework-mid", "framework-side"),
    }
    said = {}
    for name, arguments in steps.items():
        out, err = there.run(*arguments, code=6 if name == "dead" else 0, PYTHONHASHSEED=str(seed))
        told = [line for line in err.splitlines() if not _PROGRESS.match(line)]
        lines = [*out.splitlines(), *sorted(told)]  # what runs at once ends in any order
        said[name] = _TIME.sub("TIME", "\n".join(lines)).replace(str(folder), "")
    with tarfile.open(folder / "bundle") as bundle:  # its members are packed at once, and come in any order
        bundle.extractall(folder / "unpacked", filter="data")
    places = ("project", "published", "unpacked")
    written = [file for place in places for file in (folder / place).rglob("*") if file.is_file()]
    return said | {str(file.relative_to(folder)): sha256(file.read_bytes()).hexdigest() for file in sorted(written)}
