"""The disk space of objects and of the packages in them, from one lstat for each file.

An inode may have names in several objects, in uv's cache and outside of the store. It is exclusive to what has all its
names, and shared otherwise. So the exclusive bytes are those that become free when this one thing goes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from vstore.build.layer_metadata import LayerMetadata, owner_of, read_metadata
from vstore.fs.trees.usage import Tally, inode_bytes, statuses
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


class Total(NamedTuple):
    """The disk space of several objects together, each inode once."""

    disk_bytes: int
    exclusive_bytes: int


def usage_of_objects(store: Store, paths: Sequence[StorePath], *, reporter: Reporter | None = None) -> list[Usage]:
    """Return the disk space of whole objects, in their order."""
    return [_whole(store, path) for path in _told(paths, reporter)]


def usage_of_packages(store: Store, paths: Sequence[StorePath], *, reporter: Reporter | None = None) -> list[Usage]:
    """Return the disk space of each package in each of these objects.

    Raises StoreError if the metadata of a layer are damaged.
    """
    return [usage for path in _told(paths, reporter) for usage in _packages(store, path)]


def total_usage(store: Store, paths: Iterable[StorePath]) -> Total:
    """Return the disk space of these objects together."""
    tally = Tally()
    found = [status for path in paths for status in statuses(store.layout.object(path))]
    return Total(inode_bytes(found), tally.remove(found))


def _told(paths: Sequence[StorePath], reporter: Reporter | None) -> Iterator[StorePath]:
    reporter = reporter or NullReporter()
    for number, path in enumerate(paths):
        reporter.progress("disk usage", "measuring", number, len(paths))
        yield path


def _whole(store: Store, path: StorePath) -> Usage:
    return _measure(path, None, None, statuses(store.layout.object(path)))


def _packages(store: Store, path: StorePath) -> Iterator[Usage]:
    folder = store.layout.object(path)
    if not (folder / LAYER_FILE).exists():
        yield _whole(store, path)
        return
    metadata = read_metadata(folder)
    owners, versions = _owners(metadata), {one.name: one.version for one in metadata.distributions}
    groups: dict[str, list[os.stat_result]] = {}
    for name, status in _named_statuses(os.fspath(folder)):
        groups.setdefault(owner_of(name, owners) or OTHER, []).append(status)
    for package, found in sorted(groups.items()):
        yield _measure(path, package, versions.get(package), found)


def _owners(metadata: LayerMetadata) -> dict[str, str]:
    """Return the packages by the paths that belong to them alone, without a slash at the end."""
    owned = [(one.name, one.owns) for one in metadata.distributions] + [(MODULES, metadata.own_modules)]
    return {path.rstrip("/"): name for name, paths in owned for path in paths}


def _named_statuses(top: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield all below a folder, and the folder itself as the empty name."""
    yield "", os.lstat(top)
    for folder, folders, files in os.walk(top):
        inside = os.path.relpath(folder, top)
        for name in (*folders, *files):
            yield os.path.normpath(f"{inside}/{name}"), os.lstat(os.path.join(folder, name))


def _measure(path: StorePath, package: str | None, version: str | None, found: Iterable[os.stat_result]) -> Usage:
    found = list(found)
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
