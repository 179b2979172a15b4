"""Is a layer what one venv would be? Realise stacks, make plain venvs of the same versions, compare all that can be.

Usage: scripts/matrix/run [SPEC …] [--joint] [--suites] [--work DIR] [--json FILE]. Without SPEC the small stack beside
this file. A folder NAME of a SPEC may hold files `smoke*.py`, or have a file `smoke_NAME.py` beside it; they are run in
both environments, and with --suites the own test suites of some packages (suites.py). As root, everything that looks
runs as an ordinary user, since root hides faults of permissions. The folder is copied first, without its locks. A
package that is behind its version in `uv pip compile`, while no line in the lock says why, and any other difference
that docs/compatibility.md does not allow, is red: exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.matrix.compare import Row, inventories, mappings, outputs, set_apart
from scripts.matrix.environment import Workshop, make_plain, realise
from scripts.matrix.suites import unpack_suites
from scripts.matrix.versions import behind, plain_versions

_SMALL = Path(__file__).resolve().parent / "small/spec.toml"
_EDIT_COPIES = {"alembic", "copytree_edit", "scrapy"}  # smoke tests that find copies of a layer's files read-only
_MOST_SHOWN = 20


def compare(folder: Path, shop: Workshop, *, joint: bool, suites: bool) -> list[Row]:
    """All rows for the stack whose spec is in a folder."""
    work = shop.folder / folder.name
    shutil.rmtree(work / folder.name, ignore_errors=True)
    shutil.copytree(folder, work / folder.name, ignore=shutil.ignore_patterns("requirements"))
    spec = work / folder.name / "spec.toml"
    locks = shop.vstore("lock", *(["--joint"] if joint else []), spec)["layers"]
    realised = realise(spec, shop, work)
    layer = realised.environment
    first = layer.probe("inventory", None)
    versions = {name: found["version"] for name, found in first["distributions"].items()}
    plain = make_plain(versions, realised, shop, work)
    second = plain.probe("inventory", None)
    rows = [behind(locks, versions, plain_versions(spec, plain.python, shop))]
    rows += inventories(first, second, realised.told)
    rows.append(mappings("pip check", layer.pip_check(), plain.pip_check()))
    places = {str(one): "<env>" for one in (layer.scratch, plain.scratch, layer.prefix, plain.prefix)}
    places |= {os.path.relpath(one.prefix, one.scratch): "<env>" for one in (layer, plain)}
    places |= {str(place): "<env>" for place in sorted(shop.store.iterdir())}
    names = sorted(name for name in second["data files"]["bin"] if name in first["data files"]["bin"])
    smoke = sorted(folder.glob("smoke*.py")) + sorted(folder.parent.glob(f"smoke_{folder.name}.py"))
    questions: dict[str, object] = {
        "imports": sorted({name for names in second["tops"].values() for name in names}),
        "scripts": [name for name in names if not name.startswith(("python", "activate", "deactivate", "pydoc"))],
        "smoke": [str(file) for file in smoke],
    }
    if suites:
        questions["suites"] = unpack_suites(versions, second["tops"], shop, work)
    for what, question in questions.items():
        expected = plain.probe(what, question)
        failed = [one for name, one in expected.items() if what == "smoke" and "failed" in one and " " not in name]
        assert not failed, failed
        row = outputs(what, layer.probe(what, question), expected, places)
        rows.append(set_apart(row, _EDIT_COPIES) if what == "smoke" else row)
    return rows


def show(name: str, rows: Sequence[Row]) -> None:
    print(f"\n{name}\n{'compared':24}{'number':>8}{'differences':>14}{'on purpose':>12}{'failing in both':>17}")
    for row in rows:
        print(
            f"{row.what:24}{row.compared:8}{len(row.differences):14}{len(row.meant) or '':>12}{row.failing or '':>17}"
        )
    for row in rows:
        for one in (*row.differences[:_MOST_SHOWN], *row.meant):
            print(f"  {row.what}: {one.subject}\n    layer: {str(one.layer)[:500]}\n    plain: {str(one.plain)[:500]}")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", nargs="*", type=Path, default=[_SMALL])
    parser.add_argument("--joint", action="store_true", help="lock all layers together")
    parser.add_argument("--suites", action="store_true", help="run some packages' own test suites, too")
    parser.add_argument("--work", type=Path, help="keep the store and the venvs here (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write all differences to this file")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory(prefix="vstore-matrix-", ignore_cleanup_errors=True) as folder:
        shop = Workshop((options.work or Path(folder)).resolve())
        shop.folder.mkdir(parents=True, exist_ok=True)
        shop.folder.chmod(0o755)
        for spec in options.spec:
            rows = compare(spec.resolve().parent, shop, joint=options.joint, suites=options.suites)
            show(spec.resolve().parent.name, rows)
            found[str(spec)] = [row._asdict() for row in rows]
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return int(any(row["differences"] for rows in found.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
