"""Add run paths to libraries across layers, so that no process needs a search path in a variable.

Most wheels find their libraries by ``$ORIGIN`` and the links of the layer. If a file of this layer needs a library by
its plain name, and a package of this layer or of a layer below has it, then the file in this layer gets a run path to
it, through the tree of this layer. The nearest library is taken (C3), and within a layer the first by path. A
distribution finds its own libraries in its own way (an inherited run path, a library that its code loads). Files that
find all their libraries, or whose libraries are nowhere, are not changed.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from vstore.build.layer_metadata import LayerMetadata
from vstore.build.links import OWN, Dependency, visible_distributions
from vstore.build.native.elf import Elf, patchelf, read_elf
from vstore.build.record_file import RecordEntry, encode_record_file, read_record_file, record_entry
from vstore.errors import BuildError
from vstore.fs.atomic import write_file

# Every Linux has these (the manylinux policies, PEP 600); the drivers belong to the machine.
_SYSTEM = (
    *("ld-linux-aarch64.so.1", "ld-linux-x86-64.so.2", "libanl.so.1", "libatomic.so.1", "libc.so.6", "libcrypt.so.1"),
    *("libdl.so.2", "libexpat.so.1", "libgcc_s.so.1", "libglib-2.0.so.0", "libgobject-2.0.so.0", "libgthread-2.0.so.0"),
    *("libm.so.6", "libmvec.so.1", "libnsl.so.1", "libpthread.so.0", "libresolv.so.2", "librt.so.1", "libstdc++.so.6"),
    *("libutil.so.1", "libz.so.1", "libEGL.so.1", "libGL.so.1", "libICE.so.6", "libSM.so.6", "libX11.so.6"),
    *("libXext.so.6", "libXrender.so.1", "libcuda.so.1", "libnvcuvid.so.1", "libnvidia-encode.so.1"),
    *("libnvidia-ml.so.1", "libnvoptix.so.1"),
)
_ORIGINS = ("$ORIGIN", "${ORIGIN}")
_MOST_LINKS = 40


class _Consumer(NamedTuple):
    """A file of this layer, and the names of the libraries that the loader would not find for it."""

    distribution: str
    path: str
    elf: Elf
    missing: tuple[str, ...]


class _Library(NamedTuple):
    """A library of a layer, by number. Its path is the same in this layer, through links."""

    layer: int
    path: str


def add_run_paths(layer: Path, metadata: LayerMetadata, dependencies: Sequence[Dependency]) -> list[str]:
    """Add run paths to the files of a layer that need them, and return a line for the build log for each.

    The layer must be complete, except for bytecode. The RECORD of a changed file is corrected. Raises BuildError or
    ToolError.
    """
    tree = _LayerTree(layer, dependencies)
    records = {one.name: (one.dist_info, read_record_file(layer, one.dist_info)) for one in metadata.distributions}
    has = {name: {posixpath.basename(path) for path in lines} for name, (_, lines) in records.items()}
    consumers = [
        _Consumer(distribution, path, elf, missing)
        for distribution, path in (*_recorded(records), *_modules(layer, metadata))
        if ".so" in posixpath.basename(path)
        and (elf := read_elf(layer / path)) is not None
        and (missing := tuple(name for name in _missing(tree, path, elf) if name not in has.get(distribution, ())))
    ]
    wanted = {name for one in consumers for name in one.missing}
    libraries = _find_libraries(tree, metadata, dependencies, wanted) if wanted else {}
    log = []
    changed = set()
    for one in consumers:
        found = [libraries[name] for name in one.missing if name in libraries]
        if not found:
            continue
        additions = list(dict.fromkeys(_relative(library.path, one.path) for library in found))
        _add_run_path(layer / one.path, one.elf, additions)
        log.append(f"run path of {one.path}: added {':'.join(additions)}")
        if one.distribution:
            records[one.distribution][1][one.path] = record_entry(one.path, (layer / one.path).read_bytes())
            changed.add(one.distribution)
    for name in sorted(changed):
        info, lines = records[name]
        write_file(layer / info / "RECORD", encode_record_file(lines.values(), info), durable=False)
    return log


def is_excluded(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of the `dynlib_exclude` patterns matches the end of a path; ``**`` is any number of folders."""
    parts = path.split("/")
    return any(_matches(parts[at:], pattern.split("/")) for pattern in patterns for at in range(len(parts)))


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[at:], pattern[1:]) for at in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


class _LayerTree:
    """The tree of the layer as it will be in the store. While it is built, its links have no targets yet."""

    def __init__(self, layer: Path, dependencies: Sequence[Dependency]) -> None:
        self.layer = layer
        self.dependencies = dependencies
        self._folders = {one.store_path: one.folder for one in dependencies}

    def find(self, path: str) -> Path | None:
        """Return the real file at a path, in this layer or in the layer below that it is linked from."""
        folder, parts = self.layer, path.split("/")
        for _ in range(_MOST_LINKS):
            here = folder
            for at, part in enumerate(parts):
                here /= part
                if here.is_symlink():
                    store_path, *linked = [part for part in os.readlink(here).split("/") if part != ".."]
                    if store_path not in self._folders:
                        return None
                    folder, parts = self._folders[store_path], [*linked, *parts[at + 1 :]]
                    break
            else:
                return here if here.is_file() else None
        return None

    def has(self, library: _Library) -> bool:
        """Whether the path of a library leads to this very library in the layer."""
        folder = self.layer if library.layer == OWN else self.dependencies[library.layer - 1].folder
        return self.find(library.path) == folder / library.path


def _recorded(records: Mapping[str, tuple[str, Mapping[str, RecordEntry]]]) -> Iterator[tuple[str, str]]:
    for name, (_, lines) in records.items():
        yield from ((name, path) for path in sorted(lines))


def _modules(layer: Path, metadata: LayerMetadata) -> Iterator[tuple[str, str]]:
    """Yield the files of launch and support modules. They belong to no distribution."""
    for own in metadata.own_modules:
        top = layer / own
        for file in sorted(top.rglob("*.so*")) if top.is_dir() else [top]:
            yield "", file.relative_to(layer).as_posix()


def _missing(tree: _LayerTree, path: str, elf: Elf) -> Iterator[str]:
    """Yield the names of libraries that neither the system nor the run path of the file has."""
    for name in elf.needed:
        if name not in _SYSTEM and "/" not in name and not _found(tree, path, elf, name):
            yield name


def _found(tree: _LayerTree, path: str, elf: Elf, name: str) -> bool:
    for entry in elf.run_path:
        first, _, rest = entry.partition("/")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(path), rest, name))
        if first in _ORIGINS and not place.startswith("../") and tree.find(place) is not None:
            return True
    return False


def _find_libraries(
    tree: _LayerTree, metadata: LayerMetadata, dependencies: Sequence[Dependency], names: set[str]
) -> dict[str, _Library]:
    """Return the nearest library for each of the names."""
    found: dict[str, _Library] = {}
    layers = [(tree.layer, metadata), *((one.folder, one.metadata) for one in dependencies)]
    below = visible_distributions(metadata, [one.metadata for one in dependencies])
    libraries = [
        _Library(number, path)
        for number, distribution in [*((OWN, one) for one in metadata.distributions), *below]
        for path in read_record_file(layers[number][0], distribution.dist_info)
        if posixpath.basename(path) in names
    ]
    for library in sorted(libraries):
        _, its_metadata = layers[library.layer]
        excluded = is_excluded(f"{its_metadata.name}/{library.path}", its_metadata.dynlib_exclude)
        if not excluded and tree.has(library):
            found.setdefault(posixpath.basename(library.path), library)
    return found


def _relative(library: str, consumer: str) -> str:
    relative = posixpath.relpath(posixpath.dirname(library), posixpath.dirname(consumer))
    return "$ORIGIN" if relative == "." else f"$ORIGIN/{relative}"


def _add_run_path(file: Path, elf: Elf, additions: Sequence[str]) -> None:
    """Replace a file by a copy with a longer run path of the same kind. The file may be a hard link to uv's cache."""
    changed = file.with_name(f".{file.name}.new")
    run_path = (*elf.run_path, *additions)
    kind = ["--force-rpath"] if elf.inherited else []
    patchelf(*kind, "--set-rpath", ":".join(run_path), "--output", str(changed), str(file))
    after = read_elf(changed)
    if after is None or (after.needed, after.run_path) != (elf.needed, run_path):
        raise BuildError(f"patchelf could not add a run path to {file.name}")
    changed.chmod(file.stat().st_mode & 0o777)
    os.replace(changed, file)
