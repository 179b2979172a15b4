"""Makes the project's private environment `.venv`: called by environment.sh, not by people.

Needs only Python 3.11 with pip and venv. Two at once make it once; one that is stopped halfway is
noticed by the next, because what `.venv/made` records is written last.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

BIN = "Scripts" if os.name == "nt" else "bin"
WHAT = {"vstore": "vstore and what it needs", "dev": "vstore, what it needs, and its test tools"}


def say(text: str) -> None:
    print(f"vstore: {text}", file=sys.stderr, flush=True)


def healthy(venv: Path, root: Path) -> bool:
    """Whether there is an environment for this place, though perhaps not of this pyproject.toml."""
    place = venv / "made" / "place"
    python = venv / BIN / ("python.exe" if os.name == "nt" else "python")
    return os.access(python, os.X_OK) and place.is_file() and place.read_text().strip() == str(root)


def current(venv: Path, root: Path, extra: str) -> bool:
    recorded = venv / "made" / f"{extra}.toml"
    same = recorded.is_file() and recorded.read_bytes() == (root / "pyproject.toml").read_bytes()
    return healthy(venv, root) and same


def make(venv: Path, root: Path, extra: str) -> None:
    started = time.monotonic()
    if not healthy(venv, root):
        version = ".".join(map(str, sys.version_info[:3]))
        say(f"making its private environment in {venv} with Python {version} (only this once)")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
    made = venv / "made"
    for old in made.glob("*.toml"):
        if old.read_bytes() != (root / "pyproject.toml").read_bytes():
            old.unlink()
    say(f"installing {WHAT[extra]}")
    what = f"{root}[dev]" if extra == "dev" else str(root)
    pip = [str(venv / BIN / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    subprocess.run([*pip, "--editable", what], check=True)
    made.mkdir(exist_ok=True)
    (made / "place").write_text(f"{root}\n")
    for name in ("dev", "vstore") if extra == "dev" else ("vstore",):
        shutil.copyfile(root / "pyproject.toml", made / f"{name}.toml")
    say(f"environment ready after {time.monotonic() - started:.0f} s")


def main() -> int:
    root, extra = Path(__file__).resolve().parents[1], sys.argv[1]
    venv = root / ".venv"
    with open(root / ".venv.lock", "w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        if current(venv, root, extra):
            return 0
        try:
            make(venv, root, extra)
        except subprocess.CalledProcessError as error:
            say(f"error: {' '.join(map(str, error.cmd[1:4]))} … failed, see above")
            say("hint: it needs Python's venv and pip modules (on Debian: python3-venv), and the package index")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
