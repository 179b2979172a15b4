"""What building a collected layer again costs: with its wheels in uv's cache, and once they left it too.

Usage: .venv/bin/python scripts/bench/rebuild.py [--work DIR] [--requirement R …] [--runs N]. Needs the package index.
Prints what deleting gave back each time, and how long the layer took to come again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.bench.objects import VSTORE
from vstore.target import Target

SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = []
platforms = ["{target}"]

[[frameworks]]
name = "heavy"
runtime = "python"
requirements = {requirements}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--requirement", nargs="+", default=["numpy", "scipy", "pandas"])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-rebuild-", dir=options.work) as work:
        spec = Path(work) / "spec.toml"
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        spec.write_text(
            SPEC.format(version=version, target=Target.host(), requirements=json.dumps(options.requirement))
        )
        vstore = [*VSTORE, "--root", f"{work}/root"]
        realise = [*vstore, "realise", str(spec), "--include", "framework-heavy"]
        subprocess.run(realise, check=True, stdout=subprocess.DEVNULL)
        link = [*vstore, "roots", "add", "python", "python"]
        subprocess.run(link, check=True, stdout=subprocess.DEVNULL)
        seconds: dict[str, list[float]] = {"cached": [], "fetched": []}
        freed: dict[str, int] = {}
        for _ in range(options.runs):
            for name, more in (("cached", []), ("fetched", ["--cache-unshared-for", "0s"])):
                said = subprocess.check_output([*vstore, "--json", "gc", *more])
                freed[name] = json.loads(said)["freed_bytes"]
                started = time.perf_counter()
                subprocess.run(realise, check=True, stdout=subprocess.DEVNULL)
                seconds[name].append(time.perf_counter() - started)
    for name, samples in seconds.items():
        print(f"{name}: freed {freed[name] / (1 << 20):.1f} MiB, built again in {statistics.median(samples):.2f} s")


if __name__ == "__main__":
    main()
