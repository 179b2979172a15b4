"""Measures a joint lock beside uv: `vstore lock --joint` and `uv pip compile` of the same requirements, in turns.

    python -m scripts.bench.locking [SPEC] [ROUNDS]

Both use one warm cache. Without SPEC it is a stack of some three dozen web packages. Prints a row of Markdown.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uv

from scripts.bench.environment import ENVIRONMENT
from vstore.lock import Project
from vstore.spec import load
from vstore.target import Target

VERSION = ".".join(map(str, sys.version_info[:3]))
WEB = f"""\
[[runtimes]]
name = "py"
python_implementation = "cpython@{VERSION}"
requirements = ["requests", "certifi", "pyyaml", "attrs"]
platforms = ["{Target.host()}"]

[[frameworks]]
name = "base"
runtime = "py"
requirements = ["pydantic", "httpx", "click", "rich", "jinja2"]

[[frameworks]]
name = "serve"
frameworks = ["base"]
requirements = ["fastapi", "uvicorn", "flask", "django"]

[[frameworks]]
name = "db"
frameworks = ["base"]
requirements = ["sqlalchemy", "alembic", "redis", "pymongo"]

[[applications]]
name = "top"
launch_module = "main.py"
frameworks = ["serve", "db"]
requirements = ["celery", "pytest", "beautifulsoup4"]
"""


def timed(command: Sequence[object]) -> float:
    """Seconds that a command takes, with its bytecode as when it is installed; it must succeed."""
    started = time.monotonic()
    subprocess.run(list(map(str, command)), check=True, capture_output=True, env=ENVIRONMENT)
    return time.monotonic() - started


def main(given: Path | None, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "main.py").touch()
        text = given.read_text("utf-8") if given else WEB
        (work / "spec.toml").write_text(text, "utf-8")
        layers = load(work / "spec.toml", environment=os.environ).layers
        (work / "all.in").write_text("".join(f"{one}\n" for layer in layers for one in layer.requirements), "utf-8")
        root = work / "root"
        lock = [sys.executable, "-m", "vstore", "--root", root, "lock", "--joint", work / "spec.toml"]
        compiled = [uv.find_uv_bin(), "pip", "compile", work / "all.in", "--python", sys.executable, "--only-binary"]
        compiled += [":all:", "--cache-dir", root / "cache" / "uv", "--output-file", work / "all.txt"]
        timed(lock)
        ours, theirs = [], []
        for _ in range(rounds):
            shutil.rmtree(work / "requirements")
            (work / "all.txt").unlink(missing_ok=True)
            ours.append(timed(lock))
            theirs.append(timed(compiled))
        names = {one.name for locked in Project.load(work / "spec.toml").locks for one in locked.packages}
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"| {len(names)} packages in {len(layers)} layers | {a:.1f} s | {b:.1f} s | {a / b:.2f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
