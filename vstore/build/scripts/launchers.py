"""Launchers: files that start the Python code of a script or an application in its own layer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

from vstore.build.clashes import Clash
from vstore.build.layer_metadata import LayerMetadata
from vstore.build.layout import LayerLayout
from vstore.build.links import Dependency, relative_target, visible_distributions
from vstore.build.scripts.posix import ShellLaunchers
from vstore.build.scripts.windows import find_launchers
from vstore.fs.atomic import write_file


class LauncherFormat(Protocol):
    """The form of launchers on one kind of system. A launcher is the same file in every layer."""

    def script(self, name: str, code: bytes, *, window: bool = False) -> tuple[str, bytes]:
        """Return the path and the content of the launcher of a script, whose `code` is also in the code folder.

        `window` means without a console.
        """

    def application(self, module: str) -> tuple[str, bytes]:
        """Return the path and the content of the launcher of an application, which runs a module."""


def find_launcher_format(layout: LayerLayout, interpreter: Path) -> LauncherFormat:
    """Return the format for layers on an interpreter, given the folder of its object."""
    return find_launchers(interpreter, layout) if layout.target.is_windows else ShellLaunchers(layout=layout)


def write_scripts(
    layer_dir: Path, metadata: LayerMetadata, dependencies: Sequence[Dependency], launchers: LauncherFormat
) -> LayerMetadata:
    """Write the launcher of an application and the scripts of the layers below, and return the metadata with clashes.

    A Python script of a layer below runs in the environment of this layer; other scripts are linked. Of different
    scripts with one name the nearest is there.
    """
    layout = metadata.layout
    if metadata.launch_module is not None:
        path, data = launchers.application(metadata.launch_module)
        _write(layer_dir / path, data)
    inside = f"{layout.scripts}/"
    owners = {path: _Owner(one.name, metadata.name, layer_dir) for one in metadata.distributions for path in one.owns}
    clashes = []
    for number, distribution in visible_distributions(metadata, [one.metadata for one in dependencies]):
        dependency = dependencies[number - 1]
        owns = set(distribution.owns)
        for path in sorted(owns):
            if not path.startswith(inside):
                continue
            owner = _Owner(distribution.name, dependency.metadata.name, dependency.folder)
            kept = owners.setdefault(path, owner)
            if kept is not owner:
                if kept.code(path, layout) != owner.code(path, layout):
                    clashes.append(owner.clash(path, kept))
                continue
            code = layout.code_path(path)
            if code in owns:
                _link(layer_dir, code, dependency.store_path)
                _write(layer_dir / path, (dependency.folder / path).read_bytes())
            else:
                _link(layer_dir, path.rstrip("/"), dependency.store_path)
    return replace(metadata, clashes=tuple(sorted((*metadata.clashes, *clashes))))


class _Owner(NamedTuple):
    """A distribution with the name and the folder of its layer."""

    distribution: str
    layer: str
    folder: Path

    def code(self, path: str, layout: LayerLayout) -> bytes | None:
        """Return the code of the script at `path`; None for a folder."""
        for place in (self.folder / layout.code_path(path), self.folder / path):
            if place.is_file():
                return place.read_bytes()
        return None

    def clash(self, path: str, kept: _Owner) -> Clash:
        """Return the clash in which the script of this owner is hidden."""
        return Clash(
            path=path,
            kept=kept.distribution,
            kept_layer=kept.layer,
            hidden=self.distribution,
            hidden_layer=self.layer,
        )


def _link(layer_dir: Path, path: str, store_path: str) -> None:
    (layer_dir / path).parent.mkdir(parents=True, exist_ok=True)
    os.symlink(relative_target(path, store_path, path), layer_dir / path)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, data, mode=0o755, durable=False)
