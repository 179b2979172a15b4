"""Makes the project's private environment `.venv`: called by environment.sh, not by people.

Needs only Python 3.11 with pip and venv. Two at once make it once; one that is stopped halfway is
noticed by the next, because what `.venv/made` records is written last. For `dev` all versions are those of uv.lock,
taken from whichever index pip uses; the lock's own addresses are not used.
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
WHAT = {"vstore": "vstore with all its extras", "dev": "vstore, what it needs, and its test tools"}


def say(text: str) -> None:
    print(f"vstore: {text}", file=sys.stderr, flush=True)


def healthy(venv: Path, root: Path) -> bool:
    """Whether there is an environment for this place, though perhaps not of this pyproject.toml."""
    place = venv / "made" / "place"
    python = venv / BIN / ("python.exe" if os.name == "nt" else "python")
    return os.access(python, os.X_OK) and place.is_file() and place.read_text().strip() == str(root)


def current(venv: Path, root: Path, extra: str) -> bool:
    recorded = venv / "made" / f"{extra}.toml"
    same = _same(recorded, root / "pyproject.toml")
    if extra == "dev":
        same = same and _same(venv / "made" / "uv.lock", root / "uv.lock")
    return healthy(venv, root) and same


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and one.read_bytes() == other.read_bytes()


def make(venv: Path, root: Path, extra: str) -> None:
    """Make or update the environment. Raises FileExistsError for a `.venv` of somebody else: it is not touched."""
    started = time.monotonic()
    if venv.is_symlink() or (venv.exists() and not (venv / "made").is_dir()):
        raise FileExistsError(f"{venv} is not an environment that this script made")
    if not healthy(venv, root):
        version = ".".join(map(str, sys.version_info[:3]))
        say(f"making its private environment in {venv} with Python {version} (only this once)")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
    made = venv / "made"
    made.mkdir(exist_ok=True)
    for old in made.glob("*.toml"):
        if not _same(old, root / "pyproject.toml"):
            old.unlink()
    say(f"installing {WHAT[extra]}, which takes up to a minute or two")
    pip = [str(venv / BIN / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    if extra == "dev":
        subprocess.run([*pip, "uv"], check=True)
        pins = made / "pins.txt"
        uv = [str(venv / BIN / "uv"), "export", "--project", str(root), "--frozen", "--extra", "dev", "--quiet"]
        subprocess.run([*uv, "--no-emit-project", "--no-hashes", "--output-file", str(pins)], check=True)
        subprocess.run([*pip, "--constraint", str(pins), "--editable", f"{root}[dev]"], check=True)
        shutil.copyfile(root / "uv.lock", made / "uv.lock")
    else:
        subprocess.run([*pip, "--editable", f"{root}[all]"], check=True)
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
        except FileExistsError as error:
            say(f"error: {error}")
            say("hint: move it away, or remove it")
            return 1
        except subprocess.CalledProcessError as error:
            say(f"error: {' '.join(map(str, error.cmd[1:4]))} … failed, see above")
            say("hint: it needs Python's venv and pip modules (on Debian: python3-venv), and the package index")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
