"""Is a layer what one venv would be? Realise stacks, make plain venvs of the same versions, compare all that can be.

Usage: scripts/matrix/run [SPEC …] [--work DIR] [--json FILE]. Without SPEC the small stack beside this file. A folder of
a SPEC may hold files `smoke*.py`, which are run in both environments. As root, everything that looks runs as an
ordinary user, since root hides faults of permissions. Any difference is red: exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import uv

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from scripts.matrix.compare import Row, inventories, mappings, outputs
from vstore.spec.model import DEFAULT_GLIBC

_NOBODY = 65534
_AS_IN_A_LAYER = (  # the same wheels: those for the oldest system that a layer is for
    *("--no-deps", "--only-binary", ":all:", "--compile-bytecode"),
    *("--python-platform", f"{platform.machine()}-manylinux_{'_'.join(map(str, DEFAULT_GLIBC))}"),
)
_MOST_SHOWN = 20


class Environment(NamedTuple):
    """One side of the comparison; `scratch` is where its programs may write."""

    name: str
    prefix: Path
    scratch: Path

    def probe(self, what: str, question: object) -> Any:
        """Ask `probe.py`, as an ordinary user."""
        answer = self.scratch / f"{what}.json"
        self._run([str(self.prefix / "bin/python"), str(HERE / "probe.py"), what, str(answer)], json.dumps(question))
        return json.loads(answer.read_text())

    def pip_check(self) -> dict[str, object]:
        done = self._run([uv.find_uv_bin(), "pip", "check", "--python", str(self.prefix / "bin/python")], "", code=None)
        return {line: 1 for line in done.splitlines() if " requires " in line or " has " in line}

    def _run(self, command: Sequence[str], text: str, code: int | None = 0) -> str:
        self.scratch.mkdir(exist_ok=True)
        user = _NOBODY if os.geteuid() == 0 else None
        if user is not None:
            os.chown(self.scratch, user, user)
        kept = {name: value for name, value in os.environ.items() if name in ("LANG", "LC_ALL", "TZ")}
        places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "UV_CACHE_DIR"), str(self.scratch))
        done = subprocess.run(
            command,
            input=text,
            cwd=self.scratch,
            env={**kept, **places, "PATH": f"{self.prefix}/bin:/usr/bin:/bin", "PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=user,
            group=user,
            extra_groups=[] if user is not None else None,
        )
        assert code is None or done.returncode == code, (
            f"{self.name}: {command} ended with {done.returncode}\n{done.stdout}"
        )
        return done.stdout


def realise(spec: Path, work: Path) -> tuple[Environment, Path, list[str]]:
    """The environment of the last application, its interpreter, and its own module with the clashes that it tells."""
    command = [sys.executable, "-m", "vstore", "--json", "--root", str(work / "root"), "realise", str(spec)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parents[1], check=False)
    if done.returncode:
        raise SystemExit(f"matrix: {spec}: vstore ended with {done.returncode}\n{done.stdout}")
    layers = {layer["kind"]: work / "root/store" / layer["path"] for layer in json.loads(done.stdout)["layers"]}
    top = layers["application"]
    facts = json.loads((top / "share/vstore/layer.json").read_text())
    told = [clash["path"].rpartition("site-packages/")[2] for clash in facts.get("clashes", ())]
    return Environment("layer", top, work / "in-layer"), layers["interpreter"], [*told, f"{facts['launch_module']}.py"]


def make_plain(versions: Mapping[str, str], interpreter: Path, work: Path) -> Environment:
    """One venv of uv's with the same versions on the same interpreter."""
    prefix = work / "plain"
    environment = {**os.environ, "UV_CACHE_DIR": str(work / "root/cache/uv"), "UV_LINK_MODE": "copy"}
    environment.pop("VIRTUAL_ENV", None)
    pins = work / "pins.txt"
    pins.write_text("".join(f"{name}=={version}\n" for name, version in sorted(versions.items())))
    python = next((interpreter / "bin").glob("python3.*[0-9]"))
    making = ["venv", "--quiet", "--clear", "--python", python, prefix]
    installing = ["pip", "install", "--quiet", *_AS_IN_A_LAYER, "--python", prefix / "bin/python", "-r", pins]
    for command in (making, installing):
        subprocess.run([uv.find_uv_bin(), *map(str, command)], env=environment, check=True)
    return Environment("plain venv", prefix, work / "in-plain")


def compare(spec: Path, work: Path) -> list[Row]:
    """All rows for one stack."""
    work.chmod(0o755)
    layer, interpreter, told = realise(spec, work)
    first = layer.probe("inventory", None)
    versions = {name: found["version"] for name, found in first["distributions"].items()}
    plain = make_plain(versions, interpreter, work)
    second = plain.probe("inventory", None)
    rows = list(inventories(first, second, told))
    rows.append(mappings("pip check", layer.pip_check(), plain.pip_check()))
    places = {str(one): "<env>" for one in (layer.scratch, plain.scratch, layer.prefix, plain.prefix)}
    places |= {str(place): "<env>" for place in sorted((work / "root/store").iterdir())}
    modules = sorted({name for names in second["tops"].values() for name in names})
    names = sorted(name for name in second["data files"]["bin"] if name in first["data files"]["bin"])
    scripts = [name for name in names if not name.startswith(("python", "activate", "deactivate", "pydoc"))]
    smoke = [str(file) for file in sorted(spec.parent.glob("smoke*.py"))]
    for what, question in (("imports", modules), ("scripts", scripts), ("smoke", smoke)):
        expected = plain.probe(what, question)
        assert what != "smoke" or all(one[0] == 0 for one in expected.values()), expected
        rows.append(outputs(what, layer.probe(what, question), expected, places))
    return rows


def show(spec: Path, rows: Sequence[Row]) -> None:
    print(f"\n{spec.parent.name}")
    print(f"{'compared':24}{'number':>8}{'differences':>14}")
    for row in rows:
        print(f"{row.what:24}{row.compared:8}{len(row.differences):14}")
    for row in rows:
        for one in row.differences[:_MOST_SHOWN]:
            print(f"  {row.what}: {one.subject}\n    layer: {str(one.layer)[:500]}\n    plain: {str(one.plain)[:500]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", nargs="*", type=Path, default=[HERE / "small/spec.toml"])
    parser.add_argument("--work", type=Path, help="keep roots and venvs here (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write all differences to this file")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory(prefix="vstore-matrix-", ignore_cleanup_errors=True) as folder:
        for number, spec in enumerate(options.spec):
            work = (options.work or Path(folder)) / f"{number}-{spec.resolve().parent.name}"
            work.mkdir(parents=True, exist_ok=True)
            Path(folder).chmod(0o755)
            rows = compare(spec.resolve(), work.resolve())
            show(spec.resolve(), rows)
            found[str(spec)] = [row._asdict() for row in rows]
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return int(any(row["differences"] for rows in found.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
