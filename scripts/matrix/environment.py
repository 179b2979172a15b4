"""The two environments that are compared: the top layer of a stack, and a plain venv of the same versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import uv

from vstore.spec.model import DEFAULT_GLIBC

_NOBODY = 65534
_HERE = Path(__file__).resolve().parent
AS_IN_A_LAYER = (  # the same wheels: those for the oldest system that a layer is for
    *("--only-binary", ":all:"),
    *("--python-platform", f"{platform.machine()}-manylinux_{'_'.join(map(str, DEFAULT_GLIBC))}"),
)


class Environment(NamedTuple):
    """One side of the comparison; `scratch` is where its programs may write."""

    name: str
    prefix: Path
    scratch: Path

    @property
    def python(self) -> Path:
        return self.prefix / "bin/python"

    def probe(self, what: str, question: object) -> Any:
        """Ask `probe.py`, as an ordinary user."""
        answer = self.scratch / f"{what}.json"
        self._run([str(self.python), str(_HERE / "probe.py"), what, str(answer)], json.dumps(question))
        return json.loads(answer.read_text())

    def pip_check(self) -> dict[str, object]:
        done = self._run([uv.find_uv_bin(), "pip", "check", "--python", str(self.python)], "", code=None)
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


class Workshop(NamedTuple):
    """A folder to work in: one store for all stacks, and one folder for each stack."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "root/store"

    def vstore(self, *arguments: str | Path) -> Any:
        """Run vstore on the store. Raises SystemExit when it fails."""
        command = [sys.executable, "-m", "vstore", "--json", "--root", self.folder / "root", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=_HERE.parents[1], check=False)
        if done.returncode:
            raise SystemExit(f"matrix: vstore {arguments[0]} ended with {done.returncode}\n{done.stdout}")
        return json.loads(done.stdout)

    def uv(self, *arguments: str | Path, text: str | None = None) -> str:
        """Run uv on the cache of the store."""
        environment = {**os.environ, "UV_CACHE_DIR": str(self.folder / "root/cache/uv"), "UV_LINK_MODE": "copy"}
        environment.pop("VIRTUAL_ENV", None)
        command = [uv.find_uv_bin(), "--quiet", *map(str, arguments)]
        return subprocess.run(
            command, input=text, env=environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout


class Layer(NamedTuple):
    """The environment of the last application, its interpreter, and the `told` files: its module and clashes."""

    environment: Environment
    interpreter: Path
    told: list[str]


def realise(spec: Path, shop: Workshop, work: Path) -> Layer:
    """Realise the locked spec."""
    done = shop.vstore("realise", "--locked", spec)
    layers = {layer["kind"]: shop.store / layer["path"] for layer in done["layers"]}
    top = layers["application"]
    facts = json.loads((top / "share/vstore/layer.json").read_text())
    told = [clash["path"].rpartition("site-packages/")[2] for clash in facts.get("clashes", ())]
    environment = Environment("layer", top, work / "in-layer")
    return Layer(environment, layers["interpreter"], [*told, f"{facts['launch_module']}.py"])


def make_plain(versions: Mapping[str, str], layer: Layer, shop: Workshop, work: Path) -> Environment:
    """One venv of uv's with the same versions on the same interpreter, at a path as long as the layer's.

    Texts with paths are then broken and cut at the same places.
    """
    length = len(str(layer.environment.prefix)) - len(str(work / "_")) + 1
    plain = Environment("plain venv", work / "plain".ljust(length, "-"), work / "in-plain")
    pins = work / "pins.txt"
    pins.write_text("".join(f"{name}=={version}\n" for name, version in sorted(versions.items())))
    shop.uv("venv", "--clear", "--python", next((layer.interpreter / "bin").glob("python3.*[0-9]")), plain.prefix)
    installing = ("pip", "install", "--no-deps", "--compile-bytecode", *AS_IN_A_LAYER)
    shop.uv(*installing, "--python", plain.python, "-r", pins)
    for folder, _, names in os.walk(plain.prefix):  # the store's uv cache is read-only, one of a user's own is not
        for place in (Path(folder, name) for name in names):
            if not place.is_symlink():
                place.chmod(place.stat().st_mode | 0o200)
    return plain
