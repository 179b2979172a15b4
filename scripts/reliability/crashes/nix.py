"""Nix 2 beside vstore: the same disturbance, the same tree, the same check."""

from __future__ import annotations

import os
import random
import select
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from scripts.reliability.crashes.sweep import SOURCE
from vstore.gc import collect_garbage
from vstore.reporter import NullReporter
from vstore.store import Store
from vstore.store.health.verify import verify

ADD = """
import shutil, sys
from pathlib import Path
from vstore.objects import Kind
from vstore.store import Store
with Store.open(Path(sys.argv[1])) as store, store.staging("big") as staged:
    shutil.copytree(sys.argv[2], staged, dirs_exist_ok=True)
    print(store.add(staged, name="big", kind=Kind.FRAMEWORK).path, flush=True)
    sys.stdin.readline()  # it holds what it added
"""


def why_no_nix() -> str | None:
    return None if shutil.which("nix-store") else "nix-store is not installed"


def big_tree(folder: Path, *, files: int = 40, file_bytes: int = 5 << 20) -> Path:
    """A tree that takes a while to add."""
    folder.mkdir(parents=True)
    chance = random.Random(7)
    for number in range(files):
        (folder / f"blob{number:02d}").write_bytes(chance.randbytes(file_bytes))
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Raced:
    """The output of an add, and the state of the object afterwards."""

    exit_code: int
    registered: bool
    whole: bool

    @property
    def lied(self) -> bool:
        """It told of success, and the index has it, but the content is not all there."""
        return self.exit_code == 0 and self.registered and not self.whole


class NixStore:
    """A private Nix store in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        private = {"NIX_STORE_DIR": "store", "NIX_STATE_DIR": "var", "NIX_LOG_DIR": "log", "NIX_CONF_DIR": "etc"}
        config = "sandbox = false\nbuild-users-group =\nsubstitute = false\nsubstituters =\n"
        places = {name: str(folder / place) for name, place in private.items()}
        self.environment = {
            **os.environ,
            **places,
            "NIX_REMOTE": "",
            "NIX_CONFIG": config,
            "HOME": str(folder / "home"),
        }
        (folder / "home").mkdir(parents=True)
        self.run("--init")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = ["nix-store", *arguments]
        return subprocess.Popen(command, stdout=-1, stderr=subprocess.DEVNULL, text=True, env=self.environment)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["nix-store", *arguments], capture_output=True, text=True, env=self.environment)


def race_nix(folder: Path, tree: Path, delay_seconds: float) -> Raced:
    """Collect once, so long after an add began."""
    store = NixStore(folder)
    adding = store.start("--add", str(tree))
    time.sleep(delay_seconds)
    store.run("--gc")
    path = adding.communicate(timeout=300)[0].strip()
    registered = bool(path) and store.run("--query", "--hash", path).returncode == 0
    whole = registered and store.run("--verify-path", path).returncode == 0
    return Raced(exit_code=adding.returncode, registered=registered, whole=whole)


def race_vstore(root: Path, tree: Path, delay_seconds: float) -> Raced:
    """The same for vstore: a process that copies the tree and adds it, a collection beside it."""
    with Store.open(root) as store:
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        command = [sys.executable, "-c", ADD, str(root), str(tree)]
        adding = subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=environment)
        assert adding.stdin is not None and adding.stdout is not None
        time.sleep(delay_seconds)
        while not select.select([adding.stdout], [], [], 0)[0]:  # not once, as for Nix, but all the time
            collect_garbage(store, reporter=NullReporter())
        path = adding.stdout.readline().strip()
        collect_garbage(store, reporter=NullReporter())
        registered = [str(info.path) for info in store.objects.all()] == [path]
        whole = registered and verify(store, contents=True, reporter=NullReporter())[1] == []
        whole = whole and len(os.listdir(store.layout.store / path)) == len(os.listdir(tree))
        adding.communicate("done\n")
        return Raced(exit_code=adding.returncode, registered=registered, whole=whole)
