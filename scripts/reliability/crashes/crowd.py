"""Many real commands on one store at once: who realises, who collects, who switches, who runs what is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from scripts.reliability.crashes.promises import check_intact, check_nothing_left
from scripts.reliability.crashes.sweep import SOURCE
from scripts.testing.world import World


@dataclass(slots=True)
class Crowd:
    """One store and what its users saw."""

    world: World
    counts: Counter[str] = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command; whatever it says of the index being in use or locked is wrong."""
        started = time.monotonic()
        command = [sys.executable, "-m", "vstore", "--root", str(self.world.root), "--no-progress", "--json"]
        done = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            env=self.world.environment(),
            cwd=SOURCE,
            timeout=180,
        )
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - started)
        self.counts[arguments[0]] += 1
        said = [line for line in done.stderr.splitlines() if not line.startswith("warning: profile ")]  # of `gc --keep`
        said = [line for line in said if re.fullmatch(r"[\w-]+: locked in .*", line) is None]  # progress
        if done.returncode or any("locked" in line or "in use" in line for line in said):
            self.wrong.append(f"{arguments}: {done.returncode} {done.stdout[-300:]} {done.stderr[-600:]}")
        return done

    def realise(self, spec: Path, profile: str) -> None:
        arguments = ("realise", str(spec), "--profile", profile, "--local-wheels", str(self.world.wheels), "--no-index")
        done = self.command(*arguments)
        if done.returncode == 0:
            for layer in json.loads(done.stdout)["layers"]:
                if layer["origin"] == "built":
                    self.counts[f"built {layer['path']}"] += 1

    def collect(self) -> None:
        while not self.over.is_set():
            self.command("gc", "--keep", "2")

    def switch(self) -> None:
        """A profile that only this one changes goes back and forth."""
        profile, generation = "swung", 1
        while not self.over.is_set():
            generation = 3 - generation
            self.command("switch", profile, str(generation))

    def use(self, profile: str) -> None:
        """Start the application again and again: it is always there and always whole."""
        while not self.over.is_set():
            link = self.world.root / "profiles" / profile
            done = subprocess.run([link / "bin" / "hello"], capture_output=True, text=True)
            self.counts["program"] += 1
            if done.returncode:
                self.wrong.append(f"program: {done.returncode} {done.stderr[-400:]}")


def crowd(world: World, *, rounds: int, realisers: int) -> dict[str, float]:
    """Let them all loose; AssertionError if anybody saw what they should not."""
    seen = Crowd(world)
    specs = [_spec(world, name) for name in ("one", "two")]
    for spec in specs:
        seen.realise(spec, spec.parent.name)
        seen.realise(spec, "swung")
    others = [threading.Thread(target=seen.collect) for _ in range(2)]
    others += [threading.Thread(target=seen.use, args=(spec.parent.name,)) for spec in specs]
    others += [threading.Thread(target=seen.switch), threading.Thread(target=seen.use, args=("swung",))]
    for thread in others:
        thread.start()
    try:
        for number in range(rounds):
            for spec in specs:
                (spec.parent / "hello.py").write_text(f"import midlib\nprint({spec.parent.name!r}, {number})\n")
            work = [(spec, spec.parent.name) for spec in specs for _ in range(realisers)]
            threads = [threading.Thread(target=seen.realise, args=one) for one in work]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        seen.over.set()
        for thread in others:
            thread.join()
    assert seen.wrong == [], seen.wrong[:3]
    built = {name: number for name, number in seen.counts.items() if name.startswith("built ")}
    assert max(built.values()) == 1, {name: number for name, number in built.items() if number > 1}
    check_intact(world.root)
    check_nothing_left(world.root)
    counts = {name: number for name, number in seen.counts.items() if name not in built}
    return {**counts, "layers built": len(built), "slowest seconds": round(seen.slowest_seconds, 2)}


def _spec(world: World, name: str) -> Path:
    """A project of its own with the world's layers."""
    folder = world.folder / name
    folder.mkdir()
    (folder / "spec.toml").write_text(world.spec.read_text())
    (folder / "hello.py").write_text(f"import midlib\nprint({name!r})\n")
    return folder / "spec.toml"
