"""The distributions that are installed in a layer or in a development environment, by their dist-info folders."""

from __future__ import annotations

import os
from pathlib import Path

from packaging.utils import canonicalize_name

from vstore.build.layout import LayerLayout
from vstore.build.record_file import RecordEntry, encode_record_file, read_record_file, record_entry
from vstore.errors import BuildError
from vstore.values import frozen

_INSTALLER = b"vstore\n"


@frozen
class InstalledDistribution:
    """A distribution: its normalised name, and the name of its dist-info folder.

    `is_copy` is True for metadata that vstore copied from a layer.
    """

    name: str
    folder: str
    is_copy: bool = False


def read_installed(environment: Path, layout: LayerLayout) -> tuple[InstalledDistribution, ...]:
    """Return the distributions in the site-packages of an environment or a layer, sorted by folder."""
    site_packages = environment / layout.site_packages
    try:
        folders = sorted(name for name in os.listdir(site_packages) if name.endswith(".dist-info"))
    except FileNotFoundError:
        return ()
    return tuple(
        InstalledDistribution(
            name=canonicalize_name(folder.removesuffix(".dist-info").rpartition("-")[0]),
            folder=folder,
            is_copy=_installer(site_packages / folder) == _INSTALLER,
        )
        for folder in folders
    )


def read_scripts(environment: Path, layout: LayerLayout, distribution: InstalledDistribution) -> set[str]:
    """Return the names of the scripts of a distribution, by its RECORD; none if that is missing or malformed."""
    inside = f"{layout.scripts}/"
    try:
        paths = read_record_file(environment, f"{layout.site_packages}/{distribution.folder}")
    except BuildError:
        return set()
    return {path.removeprefix(inside) for path in paths if path.startswith(inside)}


def _installer(dist_info: Path) -> bytes | None:
    try:
        return (dist_info / "INSTALLER").read_bytes()
    except OSError:
        return None


def is_same_metadata(layer: Path, environment: Path, dist_info: str) -> bool:
    """Return whether the copy of a dist-info folder has the files of that in the layer, by their RECORD."""
    try:
        of_layer, of_copy = (_metadata_files(folder, dist_info) for folder in (layer, environment))
    except BuildError:
        return False
    return of_layer == of_copy


def _metadata_files(environment: Path, dist_info: str) -> set[RecordEntry]:
    written_here = {f"{dist_info}/{name}" for name in ("INSTALLER", "RECORD")}
    entries = read_record_file(environment, dist_info).values()
    return {one for one in entries if one.path.startswith(f"{dist_info}/") and one.path not in written_here}


def copy_metadata(layer: Path, environment: Path, dist_info: str) -> None:
    """Copy a dist-info folder, given by its path in both. The RECORD of the copy lists the copied files only.

    So an installer sees the distribution, and removes nothing but the copy.
    """
    entries = []
    for folder, _, names in os.walk(layer / dist_info, followlinks=True):
        relative = os.path.relpath(folder, layer)
        (environment / relative).mkdir(parents=True, exist_ok=True)
        for name in names:
            path = os.path.normpath(f"{relative}/{name}")
            if path == f"{dist_info}/RECORD":
                continue
            data = _INSTALLER if path == f"{dist_info}/INSTALLER" else (layer / path).read_bytes()
            (environment / path).write_bytes(data)
            entries.append(record_entry(path, data))
    if not (environment / dist_info / "INSTALLER").exists():
        (environment / dist_info / "INSTALLER").write_bytes(_INSTALLER)
        entries.append(record_entry(f"{dist_info}/INSTALLER", _INSTALLER))
    (environment / dist_info / "RECORD").write_bytes(encode_record_file(entries, dist_info))
