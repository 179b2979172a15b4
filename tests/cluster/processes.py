"""A scheduler and workers as real commands, each worker with a store and a key of its own.

Files in the folder `control` steer builds: while NAME.wait is there, the build of NAME waits, and NAME.started appears
when it begins.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from scripts.testing.clusters import Processes
from vstore.cluster.address import SchedulerAddress
from vstore.remote import SecretKey, Trust, write_key
from vstore.store import Store, StoreLayout

NAMES = ("client", "one", "two", "three", "four")
KEYS = {name: SecretKey(name, name.encode().ljust(32)) for name in NAMES}
TRUST = Trust(keys=tuple(key.public for key in KEYS.values()))
_START = """
import os, sys, time
from pathlib import Path
control = Path(os.environ["CONTROL"])
from vstore.build.builder import Builder
honest = Builder.build
def build(self, recipe, staging, python):
    (control / f"{recipe.name}.started").write_text(str(os.getpid()))
    while (control / f"{recipe.name}.wait").exists():
        time.sleep(0.02)
    return honest(self, recipe, staging, python)
Builder.build = build
exec(os.environ.get("PATCH", ""))
from vstore.cli import main
main(sys.argv[1:])
"""


class Commands(Processes):
    """The running commands of one folder."""

    def run(self, name: str, *arguments: str, **changes: str) -> subprocess.Popen[bytes]:
        """Start a command; its output is in the log of this name."""
        return self.start(name, _START, *arguments, CONTROL=str(self.control), **changes)

    def start_scheduler(self, *options: str, name: str = "scheduler") -> tuple[subprocess.Popen[bytes], str]:
        """Start a scheduler; return its process and its address."""
        file = self.folder / f"{name}.json"
        file.unlink(missing_ok=True)
        process = self.run(name, "scheduler", "--port", "0", "--scheduler-file", str(file), *options)
        self.wait_for(file.exists, process)
        return process, SchedulerAddress.of(str(file)).url

    def start_worker(self, name: str, address: str, *options: str, **changes: str) -> subprocess.Popen[bytes]:
        """Start a worker with the store of this name, and wait until it has joined."""
        process = self.run_worker(name, address, "--jobs", "1", *options, **changes)
        self.wait_for(lambda: " joined " in self.log(name), process)
        return process

    def run_worker(self, name: str, address: str, *options: str, **changes: str) -> subprocess.Popen[bytes]:
        """Start a worker that may not join."""
        self.root(name)
        return self.run(name, "--root", str(self.root(name)), "worker", address, "--name", name, *options, **changes)

    def root(self, name: str) -> Path:
        """Return the store of this name, with its key, which trusts all keys."""
        layout = StoreLayout(self.folder / name)
        if not layout.keys.exists():
            Store.open(layout.root).close()
            write_key(layout.keys, KEYS[name])
            trusted = ", ".join(f'"{one}"' for one in TRUST.keys)
            layout.config_file.write_text(f"trusted_keys = [{trusted}]\n")
        return layout.root
