"""How long the SBOM of a stack of 300 distributions takes: seconds of the command, medians, and of another scan.

Usage: .venv/bin/python scripts/bench/sbom.py [--runs N] [--work DIR]. The baseline is one read of every METADATA and
RECORD by importlib.metadata, as tools do that scan an environment.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from scripts.bench.environment import ENVIRONMENT  # noqa: E402
from scripts.testing.wheels import make_wheel  # noqa: E402
from vstore.target import Target  # noqa: E402

LAYERS, IN_LAYER, MODULES, CRATES = 6, 50, 40, 60
VSTORE = [sys.executable, "-c", "from vstore.cli import main; main()"]
SCAN = """
import importlib.metadata, sys
for found in importlib.metadata.distributions(path=sys.argv[1:]):
    found.metadata["Name"], found.requires, [str(file.hash) for file in found.files or ()]
"""


def make_distribution(wheels: Path, name: str, requires: Sequence[str], *, has_sbom: bool) -> None:
    """A wheel with modules and a long description; every third has a list of crates."""
    files = {f"{name}/m{number}.py": f"VALUE = {number}\n" for number in range(MODULES)}
    crates = [
        {"type": "library", "bom-ref": f"c{number}", "name": f"crate-{number}", "version": "1.0.0"}
        | {"purl": f"pkg:cargo/crate-{number}@1.0.0", "licenses": [{"expression": "MIT OR Apache-2.0"}]}
        for number in range(CRATES)
    ]
    edges = [{"ref": f"c{number}", "dependsOn": [f"c{number + 1}"]} for number in range(CRATES - 1)]
    sbom = {"bomFormat": "CycloneDX", "specVersion": "1.5", "components": crates, "dependencies": edges}
    if has_sbom:
        files[f"{name}-1.0.dist-info/sboms/{name}.cyclonedx.json"] = json.dumps(sbom)
    headers = ["License-Expression: MIT OR Apache-2.0", "Summary: A package", "Home-page: https://a.example/"]
    make_wheel(wheels, name, "1.0", files, requires=requires, headers=[*headers, "\n" + "Words. " * 2000])


def make_stack(work: Path) -> Path:
    """Realise a runtime and frameworks of 50 distributions each; return the root."""
    wheels, spec = work / "wheels", work / "project.toml"
    wheels.mkdir()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = [[f"pack{layer}x{number}" for number in range(IN_LAYER)] for layer in range(LAYERS)]
    for layer, inner in enumerate(names):
        for number, name in enumerate(inner):
            lower = names[layer - 1][number] if layer else None
            requires = [*inner[max(number - 5, 0) : number], *([lower] if lower else []), "absent; extra == 'x'"]
            make_distribution(wheels, name, requires, has_sbom=number % 3 == 0)
    text = f'[[runtimes]]\nname = "python"\npython_implementation = "cpython@{version}"\n'
    text += f'requirements = {json.dumps(names[0])}\nplatforms = ["{Target.host()}"]\n'
    for layer, inner in enumerate(names[1:], start=1):
        below = f'frameworks = ["layer{layer - 1}"]' if layer > 1 else 'runtime = "python"'
        text += f'[[frameworks]]\nname = "layer{layer}"\n{below}\nrequirements = {json.dumps(inner)}\n'
    spec.write_text(text)
    root = work / "root"
    command = [*VSTORE, "--root", str(root), "-q", "realise", str(spec), "--no-index", "--local-wheels", str(wheels)]
    subprocess.run(command, check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    return root


def timed(command: Sequence[str]) -> tuple[float, float]:
    """Wall and CPU seconds of one process."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    _, code, usage = os.wait4(process.pid, 0)
    process.returncode = code
    assert code == 0, command
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        root = make_stack(Path(folder))
        sbom = [*VSTORE, "--root", str(root), "-q", "sbom", "project"]
        sites = [str(path) for path in root.glob("store/*/lib/python*/site-packages") if "cpython" not in str(path)]
        commands = {
            "scan": [sys.executable, "-c", SCAN, *sites],
            "cyclonedx": sbom,
            "spdx": [*sbom, "--format", "spdx"],
            "cyclonedx --files": [*sbom, "--files"],
            "spdx --files": [*sbom, "--format", "spdx", "--files"],
        }
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.runs):
            for name, command in commands.items():
                samples[name].append(timed(command))
        for name, found in samples.items():
            wall, cpu = (statistics.median(values) for values in zip(*found, strict=True))
            size = len(subprocess.check_output(commands[name], env=ENVIRONMENT, stderr=subprocess.DEVNULL))
            print(f"{name:20}{wall:7.2f} s wall {cpu:7.2f} s CPU {size / 2**20:7.1f} MiB")


if __name__ == "__main__":
    main()
