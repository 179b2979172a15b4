"""Coverage-guided fuzzing (atheris) of everything that reads bytes from outside; see tests/reliability/readers.py.

Usage: .venv/bin/python scripts/reliability/fuzz.py READER [--runs N] [--seconds N]. Finds nothing and says how much it
tried, or prints the traceback and leaves the input that made it in ``crash-…``. Install with
``uv pip install -e '.[fuzz]'``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import atheris

with atheris.instrument_imports(include=["vstore"]):
    from tests.reliability.readers import READERS, try_reader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--runs", type=int, default=20_000, help="-1 for as many as there is time for")
    parser.add_argument("--seconds", type=int, default=0, help="stop after so long, 0 for when all runs are done")
    options = parser.parse_args()
    reader = READERS[options.reader]
    with tempfile.TemporaryDirectory() as name:
        for number, sample in enumerate([*reader.samples(), *reader.hostile()]):
            (Path(name) / f"sample-{number}").write_bytes(sample)
        command = [sys.argv[0], name, f"-runs={options.runs}", f"-max_total_time={options.seconds}"]
        command += ["-max_len=20000", "-timeout=60", "-verbosity=0", "-print_final_stats=1"]
        atheris.Setup(command, lambda data: try_reader(reader, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
