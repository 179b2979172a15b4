"""How long `vstore audit` takes for a large store and a real database of advisories.

Usage: .venv/bin/python scripts/bench/audit.py [--work DIR] [--database PLACE] [--runs N]. The store is made at the
level of its index: `--profiles` profiles of `--generations` generations in all, each a stack of an application, a
framework and a runtime, whose layers list `--packages` packages each. All packages of the database are in it at their
newest version that it lists, and as many others. The database is by default the archive of advisories beside the
checkout. Each audit is a process of its own; the first one parses the database, the others find it parsed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from packaging.version import Version

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.bench.environment import ENVIRONMENT
from vstore.audit.database import AdvisoryDatabase
from vstore.audit.matching import parse_version
from vstore.audit.sources import LocalSource
from vstore.build.layer_metadata import Distribution, LayerMetadata, write_metadata
from vstore.digest import hash_bytes
from vstore.objects import STACK_FILE, Kind, ObjectInfo, StorePath
from vstore.profile import Stack, StackLayer
from vstore.python_version import PythonVersion
from vstore.store import Generation, Provenance, Store
from vstore.target import Target

VSTORE = [str(Path(sys.executable).parent / "vstore"), "--no-progress"]
DATABASE = Path(__file__).resolve().parents[3] / "shared" / "data" / "pypa-advisories-2024-10.tar.xz"
START = datetime(2026, 1, 1, tzinfo=UTC)


class Maker:
    """Makes the objects of a store: their rows in the index, and the files that an audit reads."""

    def __init__(self, store: Store, packages: Sequence[Distribution], per_layer: int, chosen: random.Random) -> None:
        self.store = store
        self.rows: list[tuple[ObjectInfo, Provenance]] = []
        self._packages, self._per_layer, self._chosen = packages, per_layer, chosen

    def layer(self, name: str, kind: Kind, below: Sequence[StorePath]) -> StorePath:
        """Make a layer with a random choice of packages."""
        path = self._add(name, kind, below)
        distributions = sorted(self._chosen.sample(self._packages, self._per_layer), key=lambda one: one.name)
        metadata = LayerMetadata(
            name=name,
            kind=kind,
            target=Target.host(),
            python=PythonVersion.parse("3.12.1"),
            distributions=tuple({one.name: one for one in distributions}.values()),
        )
        write_metadata(self.store.layout.object(path), metadata)
        return path

    def stack(self, name: str, layers: Sequence[tuple[str, Kind, StorePath]]) -> StorePath:
        """Make the stack of some layers."""
        path = self._add(f"{name}-stack", Kind.STACK, [one for _, _, one in layers])
        members = tuple(StackLayer(name=layer, kind=kind, path=one) for layer, kind, one in layers)
        stack = Stack(name=name, target=str(Target.host()), layers=members)
        (self.store.layout.object(path) / STACK_FILE).write_bytes(stack.encode())
        return path

    def _add(self, name: str, kind: Kind, references: Sequence[StorePath]) -> StorePath:
        references = tuple(sorted(references))
        digest = hash_bytes("bench 1", str(len(self.rows)).encode())
        path = StorePath.make(digest, name)
        self.store.layout.object(path).mkdir()
        info = ObjectInfo(
            path=path, digest=digest, kind=kind, size_bytes=0, files=1, references=references, recipe=None,
            registered_at=START,
        )  # fmt: skip
        self.rows.append((info, Provenance()))
        return path


def fill(root: Path, database: AdvisoryDatabase, options: argparse.Namespace) -> None:
    """Make the store."""
    chosen = random.Random(1)
    packages = [
        Distribution(
            name=name, version=version, wheel="0" * 64,
            owns=(f"lib/python3.12/site-packages/{name}/", f"lib/python3.12/site-packages/{name}.dist-info/"),
        )
        for name in database.packages
        for version in [max(_listed(database, name), key=Version, default="1.0")]
    ]  # fmt: skip
    packages += [
        Distribution(name=f"quiet-{number}", version="1.0", wheel="0" * 64, owns=(f"quiet-{number}/",))
        for number in range(len(database.packages))
    ]
    with Store.open(root) as store:
        maker = Maker(store, packages, options.packages, chosen)
        runtimes = [maker.layer(f"runtime-{number}", Kind.RUNTIME, ()) for number in range(5)]
        generations = []
        for number in range(options.profiles):
            runtime = chosen.choice(runtimes)
            framework = maker.layer(f"framework-{number}", Kind.FRAMEWORK, [runtime])
            for generation in range(1, options.generations // options.profiles + 1):
                app = maker.layer("app-main", Kind.APPLICATION, [framework, runtime])
                layers = [("runtime", Kind.RUNTIME, runtime), ("framework", Kind.FRAMEWORK, framework)]
                stack = maker.stack(f"profile-{number}", [*layers, ("app-main", Kind.APPLICATION, app)])
                generations.append(
                    Generation(
                        profile=f"profile-{number}", number=generation, path=stack,
                        created_at=START + timedelta(days=generation), spec_path=None, spec_digest=None,
                        replaced_number=generation - 1 or None,
                    )
                )  # fmt: skip
        store.objects.register_all(maker.rows)
        for one in generations:
            store.generations.add(one)
            link = store.layout.generation(one.profile, one.number)
            link.symlink_to(f"../store/{one.path}")
            (store.layout.profiles / one.profile).unlink(missing_ok=True)
            (store.layout.profiles / one.profile).symlink_to(link.name)


def _listed(database: AdvisoryDatabase, name: str) -> list[str]:
    bounds = {text for each in database.advisories(name) for events in each.ranges for _, text in events}
    return [one for one in bounds if parse_version(one) is not None]


def audited(root: Path, database: Path) -> tuple[float, dict[str, object]]:
    """Wall seconds of one audit, and its document."""
    started = time.perf_counter()
    command = [*VSTORE, "--root", str(root), "--json", "audit", "--database", str(database)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    seconds = time.perf_counter() - started
    assert done.returncode == 14, done.stderr
    return seconds, json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--database", type=Path, default=DATABASE)
    parser.add_argument("--profiles", type=int, default=200)
    parser.add_argument("--generations", type=int, default=1_000)
    parser.add_argument("--packages", type=int, default=20, help="packages of a layer")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-audit-", dir=options.work) as work:
        root = Path(work) / "root"
        started = time.perf_counter()
        database = AdvisoryDatabase.open(LocalSource(options.database))
        parsed = time.perf_counter() - started
        fill(root, database, options)
        first, document = audited(root, options.database)
        seconds = [audited(root, options.database)[0] for _ in range(options.runs)]
    found = document["vulnerabilities"]
    assert isinstance(found, list)
    print(f"load {' '.join(f'{one:.1f}' for one in os.getloadavg())}")
    print(f"{document['advisories']} advisories, {options.generations} generations in {options.profiles} profiles,")
    print(f"{document['packages']} packages, {len(found)} vulnerabilities")
    print(f"parse {parsed:.2f} s, first audit {first:.2f} s, median of {options.runs} others ", end="")
    print(f"{statistics.median(seconds):.2f} s, best {min(seconds):.2f} s")


if __name__ == "__main__":
    main()
