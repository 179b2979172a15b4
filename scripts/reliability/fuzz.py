"""Coverage-guided fuzzing (atheris) of all that hostile/readers.py lists: what reads bytes from outside.

`scripts/reliability/run fuzz --reader READER --seconds N --seed S` tries one reader, or without `--reader` one after
another. Says how much was tried and how many branches of vstore were reached; or prints the traceback and leaves the
input that made it in ``crash-…``. Install with ``uv pip install -e '.[fuzz]'``.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_DONE = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+)")
_MEBIBYTES = 700  # of the process: what it has tried, and 300 for one input
_LONGEST_BYTES = 20_000  # of an input
_UNIT_SECONDS = 60  # for an input


def why_no_fuzzing() -> str | None:
    """Why it cannot be done here; None where it can."""
    return None if find_spec("atheris") else "needs atheris (the extra `fuzz`)"


def fuzz(reader: str, *, seed: int, seconds: int = 0, runs: int = -1, corpus: Path | None = None) -> dict[str, object]:
    """Try one reader so long or so often; AssertionError with the traceback of what it found.

    What reaches new branches is kept in the folder `corpus`, from which the next call goes on.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as fresh:
        folder = corpus or Path(fresh)
        folder.mkdir(parents=True, exist_ok=True)
        limits = [f"-runs={runs}", f"-max_total_time={seconds}", f"-max_len={_LONGEST_BYTES}"]
        limits += [f"-timeout={_UNIT_SECONDS}", f"-rss_limit_mb={_MEBIBYTES}", f"-seed={seed}"]
        command = [sys.executable, __file__, reader, str(folder), *limits]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    found = _DONE.search(done.stderr)
    assert done.returncode == 0 and found, f"{reader}: {done.stderr[-4000:]}"
    return {"inputs": int(found[1]), "branches": int(found[2])}


def main() -> None:
    """Run in a process of its own: READER CORPUS and options of libFuzzer. It ends the process."""
    name, folder, *limits = sys.argv[1:]
    sys.path.insert(0, str(ROOT))
    import atheris

    with atheris.instrument_imports(include=["vstore"]):
        from scripts.reliability.hostile.readers import READERS, try_reader
    reader = READERS[name]
    for number, sample in enumerate([*reader.samples(), *reader.hostile()]):
        (Path(folder) / f"sample-{number}").write_bytes(sample)
    atheris.Setup([sys.argv[0], folder, *limits], lambda data: try_reader(reader, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
