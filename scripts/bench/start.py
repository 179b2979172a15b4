"""How long short commands take to start: CPU seconds against importing what they need, medians, taken in turns.

Usage: .venv/bin/python scripts/bench/start.py [--runs N] [--only NAME …] [--json]. Bytecode is written and used.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from scripts.bench.environment import ENVIRONMENT  # noqa: E402
from scripts.testing.wheels import make_wheel  # noqa: E402
from vstore.target import Target  # noqa: E402

VSTORE = [sys.executable, "-c", "from vstore.cli import main; main()"]  # as the installed script does
CLICK = "import click"
NOOP = "import click, sqlite3, blake3"


def cpu_seconds(command: Sequence[str | Path]) -> float:
    """CPU seconds of one process and its children."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime


def completing(line: str) -> list[str | Path]:
    """The command that a shell runs to complete a line."""
    return ["env", "_VSTORE_COMPLETE=bash_complete", f"COMP_WORDS={line}", *VSTORE]


def world(work: Path) -> dict[str, tuple[list[str | Path], str, float]]:
    """Make a store of six layers, and give for each name its command, its baseline and its goal."""
    wheels = work / "wheels"
    wheels.mkdir()
    for name in ("one", "two", "three"):
        make_wheel(wheels, name, "1", {f"{name}/__init__.py": ""})
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = f'[[runtimes]]\nname = "python"\npython_implementation = "cpython@{version}"\nrequirements = []\n'
    text += f'platforms = ["{Target.host()}"]\n'
    for name in ("one", "two", "three"):
        text += f'[[frameworks]]\nname = "{name}"\nruntime = "python"\nrequirements = ["{name}"]\n'
    for name, frameworks in (("first", ["one", "two"]), ("second", ["three"])):
        (work / f"{name}.py").write_text("print('hello')\n")
        text += f'[[applications]]\nname = "{name}"\nlaunch_module = "{name}.py"\nrequirements = []\n'
        text += f"frameworks = {json.dumps(frameworks)}\n"
    spec = work / "project.toml"
    spec.write_text(text)
    ours: list[str | Path] = [*VSTORE, "--no-progress", "-q", "--root", work / "root"]
    realise = [*ours, "realise", spec, "--no-index", "--local-wheels", wheels]
    subprocess.run(realise, check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    return {
        "version": ([*VSTORE, "--version"], CLICK, 1.1),
        "help": ([*VSTORE, "--help"], CLICK, 1.1),
        "usage error": ([*VSTORE, "list", "--nonsense"], CLICK, 1.1),
        "completion": ([*VSTORE, "completion", "bash"], CLICK, 1.2),
        "complete a command": (completing("vstore re"), CLICK, 1.2),
        "complete an option": (completing("vstore realise --pl"), CLICK, 1.2),
        "list": ([*ours, "list"], CLICK, 1.3),
        "history": ([*ours, "history", "project"], CLICK, 1.3),
        "switch": ([*ours, "switch", "project", "1"], CLICK, 1.3),
        "realise": (realise, NOOP, 1.3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-start-") as folder:
        commands = world(Path(folder).resolve())
        chosen = {name: commands[name] for name in options.only or commands}
        python = [sys.executable, "-c"]
        every: dict[str, Sequence[str | Path]] = {name: command for name, (command, _, _) in chosen.items()}
        every |= {code: [*python, code] for code in ("pass", CLICK, NOOP)}
        samples: dict[str, list[float]] = {name: [] for name in every}
        for command in every.values():
            cpu_seconds(command)
        for _ in range(options.runs):
            for name, command in every.items():
                samples[name].append(cpu_seconds(command))
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)
    medians = {name: statistics.median(sample) for name, sample in samples.items()}
    rows = [
        {"name": name, "seconds": medians[name], "baseline_seconds": medians[base], "baseline": base, "goal": goal}
        for name, (_, base, goal) in chosen.items()
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print("| what | CPU ms | baseline ms | ratio | goal | against |\n|---|---|---|---|---|---|")
    for name, (_, base, goal) in chosen.items():
        ratio = medians[name] / medians[base]
        print(f"| {name} | {medians[name] * 1e3:.1f} | {medians[base] * 1e3:.1f} | **{ratio:.2f}** | {goal} | {base} |")
    print(f"\nA bare interpreter: {medians['pass'] * 1e3:.1f} ms.")


main()
