"""The disk space of objects and of the packages in them, from one lstat for each file.

An inode may have names in several objects, in uv's cache and outside of the store. It is exclusive to what has all its
names, and shared otherwise. So the exclusive bytes are those that become free when this one thing goes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vstore.build.layer_metadata import LayerMetadata, owner_of, read_metadata
from vstore.fs.trees.usage import Tally, inode_bytes, places_below
from vstore.objects import LAYER_FILE, StorePath
from vstore.reporter import NullReporter, Reporter
from vstore.store import Store

MODULES = "modules"
OTHER = "other"


class Usage(NamedTuple):
    """The disk space of an object, or of one package in it.

    `package` is the normalised name of a distribution, `MODULES` for the launch and support modules, or `OTHER` for
    links, scripts, metadata and whatever else a layer has. It is None for a whole object, and where there are no
    packages. `size_bytes` is the sum of the file sizes. `disk_bytes` are the bytes of the inodes as du(1) counts them,
    `exclusive_bytes` those of inodes without a name elsewhere.
    """

    path: StorePath
    package: str | None
    version: str | None
    files: int
    size_bytes: int
    disk_bytes: int
    exclusive_bytes: int


class ObjectUsage(NamedTuple):
    """The disk space of an object, and of the packages in it: none for an object without packages."""

    whole: Usage
    packages: tuple[Usage, ...]


class DiskUsage(NamedTuple):
    """The disk space of several objects, and of all of them together, each inode once."""

    objects: list[ObjectUsage]
    disk_bytes: int
    exclusive_bytes: int


def disk_usage(
    store: Store, paths: Sequence[StorePath], *, by_package: bool = True, reporter: Reporter | None = None
) -> DiskUsage:
    """Return the disk space of objects, in their order. If it is not `by_package`, none is divided into packages.

    Raises StoreError if the metadata of a layer are damaged.
    """
    reporter = reporter or NullReporter()
    objects: list[ObjectUsage] = []
    everything: list[os.stat_result] = []
    for number, path in enumerate(paths):
        reporter.progress("disk usage", "measuring", number, len(paths))
        folder = store.layout.object(path)
        places = list(places_below(folder))
        found = [status for _, status in places]
        packages = _packages(path, folder, places) if by_package and (folder / LAYER_FILE).exists() else ()
        objects.append(ObjectUsage(_measure(path, None, None, found), tuple(packages)))
        everything += found
    return DiskUsage(objects, inode_bytes(everything), Tally().remove(everything))


def _packages(path: StorePath, folder: Path, places: Iterable[tuple[str, os.stat_result]]) -> Iterator[Usage]:
    metadata, start = read_metadata(folder), len(os.fspath(folder)) + 1
    owners, versions = _owners(metadata), {one.name: one.version for one in metadata.distributions}
    groups: dict[str, list[os.stat_result]] = {}
    for place, status in places:
        groups.setdefault(owner_of(place[start:], owners) or OTHER, []).append(status)
    for package, found in sorted(groups.items()):
        yield _measure(path, package, versions.get(package), found)


def _owners(metadata: LayerMetadata) -> dict[str, str]:
    """Return the packages by the paths that belong to them alone, without a slash at the end."""
    owned = [(one.name, one.owns) for one in metadata.distributions] + [(MODULES, metadata.own_modules)]
    return {path.rstrip("/"): name for name, paths in owned for path in paths}


def _measure(path: StorePath, package: str | None, version: str | None, found: Sequence[os.stat_result]) -> Usage:
    files = [status for status in found if not stat.S_ISDIR(status.st_mode)]
    return Usage(
        path=path,
        package=package,
        version=version,
        files=len(files),
        size_bytes=sum(status.st_size for status in files if stat.S_ISREG(status.st_mode)),
        disk_bytes=inode_bytes(found),
        exclusive_bytes=Tally().remove(found),
    )
