"""Find which distribution owns which paths of a layer that has its own files and no links yet."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from vstore.build.clashes import Clash
from vstore.build.layer_metadata import Distribution, LayerMetadata, module_files
from vstore.build.recipe import LayerRecipe
from vstore.build.record_file import read_record_file
from vstore.errors import BuildError

_Owners = dict[str, "_Owners | list[str]"]  # the names in a folder: folders, and the owners of files


def collect_metadata(
    layer: Path, recipe: LayerRecipe, modules: Sequence[PurePosixPath], clashes: Iterable[Clash] = ()
) -> LayerMetadata:
    """Return the metadata of a layer; `modules` are the paths of its launch and support modules.

    Raises BuildError if a distribution is missing, or has a file where a module is.
    """
    layout = recipe.layout
    infos = find_dist_infos(layer / layout.site_packages)
    tree: _Owners = {}
    for wheel in recipe.wheels:
        if wheel.name not in infos:
            raise BuildError(f"{wheel.filename} did not install a distribution named {wheel.name}")
        for path in read_record_file(layer, f"{layout.site_packages}/{infos[wheel.name]}"):
            _add_owner(tree, path, wheel.name)
    own_modules = [f"{path}/" if (layer / path).is_dir() else str(path) for path in modules]
    for module in own_modules:
        for path in module_files(layer, module):
            _add_owner(tree, path, "")
    owns: dict[str, list[str]] = {}
    _find_minimal(tree, "", layout.install_folders, owns)
    for module in own_modules:
        _refuse_shared(module, owns)
    return LayerMetadata(
        name=recipe.name,
        kind=recipe.kind,
        python=layout.python,
        target=layout.target,
        distributions=tuple(
            Distribution(name=one.name, version=one.version, wheel=one.sha256, owns=tuple(sorted(owns[one.name])))
            for one in sorted(recipe.wheels, key=lambda wheel: wheel.name)
        ),
        own_modules=tuple(sorted(own_modules)),
        launch_module=recipe.launch_module,
        dynlib_exclude=recipe.dynlib_exclude,
        clashes=tuple(sorted(clashes)),
    )


def find_dist_infos(site_packages: Path) -> dict[str, str]:
    """Return the names of the dist-info folders by normalised name of the distribution."""
    names = sorted(entry.name for entry in os.scandir(site_packages)) if site_packages.is_dir() else []
    return {canonicalize_name(name.partition("-")[0]): name for name in names if name.endswith(".dist-info")}


def _add_owner(tree: _Owners, path: str, owner: str) -> None:
    *folders, name = path.split("/")
    for folder in folders:
        child = tree.setdefault(folder, {})
        if isinstance(child, list):
            raise BuildError(f"{path} and {folder} cannot both be files")
        tree = child
    owners = tree.setdefault(name, [])
    if isinstance(owners, dict):
        raise BuildError(f"{path} cannot be a file and a folder")
    if owner not in owners:
        owners.append(owner)


def _find_minimal(tree: _Owners, prefix: str, kept: frozenset[str], owns: dict[str, list[str]]) -> str | None:
    """Return the only owner of a folder; None if it has several, whose paths are then added to `owns`."""
    single: dict[str, str] = {}
    mixed = prefix.rstrip("/") in kept
    for name, child in tree.items():
        path = prefix + name
        if isinstance(child, dict):
            owner = _find_minimal(child, path + "/", kept, owns)
            path += "/"
        else:
            owner = child[0] if len(child) == 1 else None
            for one in child if owner is None else ():
                owns.setdefault(one, []).append(path)
        if owner is None:
            mixed = True
        else:
            single[path] = owner
    if not mixed and len(set(single.values())) == 1:
        return next(iter(single.values()))
    for path, owner in single.items():
        owns.setdefault(owner, []).append(path)
    return None


def _refuse_shared(module: str, owns: Mapping[str, Sequence[str]]) -> None:
    bare = module.rstrip("/")
    for name, paths in owns.items():
        if name and any(path.rstrip("/") == bare or path.startswith(bare + "/") for path in paths):
            raise BuildError(f"{posixpath.basename(bare)} is a module of this layer and of distribution {name}")
