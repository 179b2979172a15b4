"""Kernels of Jupyter that run in a layer: kernelspecs that name its Python by the link of a profile.

The format is that of jupyter_client: a folder ``kernels/NAME`` with a ``kernel.json`` in a data folder of Jupyter.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from vstore.digest import parse_json
from vstore.environments.activation import UsableLayer
from vstore.errors import NotFoundError, UsageError, nearest
from vstore.fs.place import check_output_folder, claim, put_folder
from vstore.fs.reading import read_regular
from vstore.fs.scratch import scratch
from vstore.fs.trees.removal import remove_tree
from vstore.values import frozen

_FILE = "kernel.json"
_LAUNCHER = "ipykernel_launcher"
_MAX_BYTES = 1 << 20
_LOGOS = ("logo-32x32.png", "logo-64x64.png", "logo-svg.svg")


@frozen
class Kernel:
    """A kernel: its name, the title that Jupyter shows, and the folder and the name of its layer."""

    name: str
    title: str
    layer: Path
    layer_name: str

    @property
    def python(self) -> Path:
        """The Python that it starts."""
        return self.layer / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def encode(self, scripts: tuple[Path, ...]) -> bytes:
        """Return the content of kernel.json; `scripts` are the folders in front of PATH."""
        document = {
            "argv": [str(self.python), "-m", _LAUNCHER, "-f", "{connection_file}"],
            "display_name": self.title,
            "language": "python",
            "metadata": {"debugger": True, "vstore": {"layer": str(self.layer), "name": self.layer_name}},
            "env": {
                "PATH": os.pathsep.join((*(str(one).replace("$", "$$") for one in scripts), "${PATH}")),
                "VIRTUAL_ENV": str(self.layer).replace("$", "$$"),
            },
        }
        return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read the kernel in a folder; None if there is none that vstore made."""
        try:
            document = parse_json(read_regular(folder / _FILE, limit=_MAX_BYTES))
            own = document["metadata"]["vstore"]
            values = (document["display_name"], own["layer"], own["name"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        title, layer, name = (str(value) for value in values)
        return cls(name=folder.name, title=title, layer=Path(layer), layer_name=name)


def kernels_folder(prefix: Path | None, environment: Mapping[str, str]) -> Path:
    """Return the folder of kernels below a prefix, such as a virtual environment, or else of the user."""
    if prefix is not None:
        return prefix / "share/jupyter/kernels"
    return _user_data(environment) / "kernels"


def _user_data(environment: Mapping[str, str]) -> Path:
    """Return the user's data folder of Jupyter, as jupyter_core finds it."""
    if chosen := environment.get("JUPYTER_DATA_DIR"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library/Jupyter"
    if os.name == "nt" and (roaming := environment.get("APPDATA")):
        return Path(roaming) / "jupyter"
    data = environment.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local/share") / "jupyter"


def install_kernel(folder: Path, kernel: Kernel, layer: UsableLayer, *, store: Path) -> None:
    """Write a kernel into a folder of kernels, or replace one that vstore made.

    `store` is the root of the store. Raises UsageError for an invalid name, if the layer has no ipykernel, and if
    another kernel has the name.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]+", kernel.name):
        raise UsageError(f"not a name for a kernel: {kernel.name!r}", hint="use letters, digits, . _ -")
    site_packages = _site_packages(kernel.layer)
    if site_packages is None:
        raise UsageError(
            f"{kernel.layer_name} has no ipykernel, which a kernel needs",
            hint="add it to the requirements of the layer",
        )
    check_output_folder(folder, store=store)
    folder.mkdir(parents=True, exist_ok=True)
    place = claim(folder / kernel.name, lambda path, _: not path.is_symlink() and Kernel.read(path) is not None)
    with scratch(folder, "kernel") as aside:
        new = aside / "new"
        new.mkdir()
        (new / _FILE).write_bytes(kernel.encode(layer.scripts))
        for logo in _LOGOS:
            if (source := site_packages / "ipykernel/resources" / logo).is_file():
                shutil.copyfile(source, new / logo)
        new.chmod(0o755)
        put_folder(new, place)


def _site_packages(layer: Path) -> Path | None:
    """Return the site-packages of a layer with ipykernel; None if it has none."""
    folders = [layer / "Lib/site-packages", *sorted(layer.glob("lib/python3*/site-packages"))]
    return next((one for one in folders if (one / f"{_LAUNCHER}.py").is_file()), None)


def installed_kernels(folder: Path) -> Iterator[Kernel]:
    """Yield the kernels in a folder of kernels that vstore made, by name."""
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        kernel = Kernel.read(place)
        if kernel is not None and not place.is_symlink():
            yield kernel


def remove_kernel(folder: Path, name: str) -> None:
    """Remove a kernel that vstore made. Raises NotFoundError if there is none of this name."""
    known = [one.name for one in installed_kernels(folder)]
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean {near!r}?" if near else "`vstore kernel list` lists the kernels that vstore made"
        raise NotFoundError(f"vstore made no kernel {name!r} in {folder}", hint=hint)
    remove_tree(folder / name)
