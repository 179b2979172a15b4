"""Shared libraries across layers: a run path for what only a search path would find, and no variable in any process.

Most wheels find their libraries by ``$ORIGIN`` and the layer's links. Where a file of this layer needs a library by
its plain name, and a package of this layer or of one below has it, the layer's copy gets a run path to it, through the
layer's own tree. Nearest first (C3), and within a layer in the order of paths. What a distribution has itself it finds
in its own ways (a run path inherited, a library loaded by hand). Files whose libraries are found already, or nowhere,
keep their bytes.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from vstore.build.interpreter.relocate import patchelf
from vstore.build.layer_metadata import LayerMetadata
from vstore.build.links import OWN, Dependency, visible
from vstore.build.native.elf import Elf, read_elf
from vstore.build.record import Line, describe, encode_record, read_record
from vstore.errors import BuildError
from vstore.fs.atomic import write_file

# Every Linux has these (the manylinux policies, PEP 600), and the drivers are the machine's own.
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
    """A file of this layer, and the libraries that the loader would not find for it."""

    distribution: str
    path: str
    elf: Elf
    missing: tuple[str, ...]


class _Offer(NamedTuple):
    """A library in a layer, by number: its path is the same there and, through links, in this layer."""

    layer: int
    path: str


def join_libraries(layer: Path, facts: LayerMetadata, dependencies: Sequence[Dependency]) -> list[str]:
    """Give run paths to the layer's files that need them; a line of the build log for each.

    The layer is complete but for bytecode. RECORDs of the changed files are true again. Raises BuildError or ToolError.
    """
    tree = _Tree(layer, dependencies)
    records = {one.name: (one.info, read_record(layer, one.info)) for one in facts.distributions}
    has = {name: {posixpath.basename(path) for path in lines} for name, (_, lines) in records.items()}
    consumers = [
        _Consumer(distribution, path, elf, missing)
        for distribution, path in (*_recorded(records), *_modules(layer, facts))
        if ".so" in posixpath.basename(path)
        and (elf := read_elf(layer / path)) is not None
        and (missing := tuple(name for name in _missing(tree, path, elf) if name not in has.get(distribution, ())))
    ]
    offers = (
        _offers(tree, facts, dependencies, {name for one in consumers for name in one.missing}) if consumers else {}
    )
    log = []
    changed = set()
    for one in consumers:
        found = [offers[name] for name in one.missing if name in offers]
        if not found:
            continue
        additions = list(dict.fromkeys(_relative(offer.path, one.path) for offer in found))
        _add_run_path(layer / one.path, one.elf, additions)
        log.append(f"run path of {one.path}: added {':'.join(additions)}")
        if one.distribution:
            records[one.distribution][1][one.path] = describe(one.path, (layer / one.path).read_bytes())
            changed.add(one.distribution)
    for name in sorted(changed):
        info, lines = records[name]
        write_file(layer / info / "RECORD", encode_record(lines.values(), info), durable=False)
    return log


def is_excluded(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of the `dynlib_exclude` patterns matches the end of the path; ``**`` is any number of folders."""
    parts = path.split("/")
    return any(_matches(parts[at:], pattern.split("/")) for pattern in patterns for at in range(len(parts)))


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[at:], pattern[1:]) for at in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


class _Tree:
    """The layer's tree as it will be in the store; while it is built, its links lead nowhere yet."""

    def __init__(self, layer: Path, dependencies: Sequence[Dependency]) -> None:
        self.layer = layer
        self.dependencies = dependencies
        self._folders = {store_path: folder for store_path, folder, _ in dependencies}

    def find(self, path: str) -> Path | None:
        """The real file at a layer-relative path, in this layer or the one that it is linked from."""
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

    def shows(self, offer: _Offer) -> bool:
        """Whether the layer has the library, and nothing else, where it would look for it."""
        folder = self.layer if offer.layer == OWN else self.dependencies[offer.layer - 1][1]
        return self.find(offer.path) == folder / offer.path


def _recorded(records: Mapping[str, tuple[str, Mapping[str, Line]]]) -> Iterator[tuple[str, str]]:
    for name, (_, lines) in records.items():
        yield from ((name, path) for path in sorted(lines))


def _modules(layer: Path, facts: LayerMetadata) -> Iterator[tuple[str, str]]:
    """The files of launch and support modules; they belong to no distribution."""
    for own in facts.own:
        top = layer / own
        for file in sorted(top.rglob("*.so*")) if top.is_dir() else [top]:
            yield "", file.relative_to(layer).as_posix()


def _missing(tree: _Tree, path: str, elf: Elf) -> Iterator[str]:
    """The names that neither the system nor the file's own run path answers."""
    for name in elf.needed:
        if name not in _SYSTEM and "/" not in name and not _found(tree, path, elf, name):
            yield name


def _found(tree: _Tree, path: str, elf: Elf, name: str) -> bool:
    for entry in elf.run_path:
        first, _, rest = entry.partition("/")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(path), rest, name))
        if first in _ORIGINS and not place.startswith("../") and tree.find(place) is not None:
            return True
    return False


def _offers(
    tree: _Tree, facts: LayerMetadata, dependencies: Sequence[Dependency], names: set[str]
) -> dict[str, _Offer]:
    """Library name → the best offer."""
    found: dict[str, _Offer] = {}
    layers = [(tree.layer, facts), *((folder, dependency) for _, folder, dependency in dependencies)]
    everyone = [(OWN, one) for one in facts.distributions] + visible(
        facts, [dependency for _, _, dependency in dependencies]
    )
    offers = [
        _Offer(number, path)
        for number, distribution in everyone
        for path in read_record(layers[number][0], distribution.info)
        if posixpath.basename(path) in names
    ]
    for offer in sorted(offers):
        its_layer = layers[offer.layer][1]
        excluded = is_excluded(f"{its_layer.name}/{offer.path}", its_layer.dynlib_exclude)
        if not excluded and tree.shows(offer):
            found.setdefault(posixpath.basename(offer.path), offer)
    return found


def _relative(library: str, consumer: str) -> str:
    relative = posixpath.relpath(posixpath.dirname(library), posixpath.dirname(consumer))
    return "$ORIGIN" if relative == "." else f"$ORIGIN/{relative}"


def _add_run_path(file: Path, elf: Elf, additions: Sequence[str]) -> None:
    """Replace the file, which may be a hard link to uv's cache, by a copy with a longer run path of the same kind."""
    changed = file.with_name(f".{file.name}.new")
    wanted = (*elf.run_path, *additions)
    kind = ["--force-rpath"] if elf.inherited else []
    patchelf(*kind, "--set-rpath", ":".join(wanted), "--output", str(changed), str(file))
    after = read_elf(changed)
    if after is None or (after.needed, after.run_path) != (elf.needed, wanted):
        raise BuildError(f"patchelf could not add a run path to {file.name}")
    changed.chmod(file.stat().st_mode & 0o777)
    os.replace(changed, file)
