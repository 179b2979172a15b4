"""The needs of an image from its base: the version of glibc, and the shared libraries that no object of it has."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from vstore.build.layer_metadata import read_metadata
from vstore.build.native.elf import read_elf
from vstore.fs.reading import read_regular
from vstore.fs.trees.manifest import EntryKind
from vstore.objects import Kind, ObjectInfo
from vstore.publish.image.model import BaseNeeds
from vstore.store import Store

_LIBRARY = re.compile(rb"[^/]+\.so(?:\.[0-9.]+)?$")
_PROGRAM = re.compile(rb"bin/python[0-9.]*$")
_SYMBOL_VERSION = re.compile(rb"GLIBC_2\.(\d{1,3})\0")
_WHEEL_TAG = re.compile(r"^Tag: .*-manylinux_2_(\d{1,3})_\w+$|^Tag: .*-manylinux(1|2010|2014)_\w+$", re.MULTILINE)
_OLD_TAGS = {"1": 5, "2010": 12, "2014": 17}  # PEP 600
_OF_GLIBC = re.compile(r"(?:ld-linux.*|lib(?:c|m|dl|rt|pthread|util|resolv|nsl|anl|BrokenLocale)\.so\.\d+)$")
_MAX_WHEEL_BYTES = 1 << 16


def base_needs(store: Store, objects: Iterable[ObjectInfo]) -> BaseNeeds:
    """Return what these objects need of the system, by their ELF files and by the tags of their wheels."""
    needed: set[str] = set()
    present: set[str] = set()
    minors = [0]
    for info in objects:
        folder = store.layout.object(info.path)
        for path in _binaries(store, info):
            present.add(os.fsdecode(path.rpartition(b"/")[2]))
            file = folder / os.fsdecode(path)
            elf = read_elf(file)
            needed.update(elf.needed if elf else ())
            if elf and info.kind == Kind.INTERPRETER:
                minors.append(_of_symbols(file))
        if info.kind in (Kind.RUNTIME, Kind.FRAMEWORK, Kind.APPLICATION):
            minors += _of_wheels(folder)
    missing = sorted(name for name in needed - present if not _OF_GLIBC.match(name))
    return BaseNeeds(glibc=f"2.{max(minors)}" if max(minors) else None, libraries=tuple(missing))


def _binaries(store: Store, info: ObjectInfo) -> Iterator[bytes]:
    """Yield the paths of the programs and libraries of an object. Names that are links count as present."""
    for entry in store.manifest(info.path)[0].entries:
        if entry.kind != EntryKind.DIRECTORY and (_LIBRARY.search(entry.path) or _PROGRAM.search(entry.path)):
            yield entry.path


def _of_symbols(file: Path) -> int:
    """Return the minor version of glibc that the symbols of a library ask for, 0 if they ask for none."""
    with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return max((int(found[1]) for found in _SYMBOL_VERSION.finditer(data)), default=0)


def _of_wheels(layer: Path) -> Iterator[int]:
    """Yield the minor version of glibc that each wheel of a layer is built for: its lowest tag."""
    for distribution in read_metadata(layer).distributions:
        try:
            text = read_regular(layer / distribution.dist_info / "WHEEL", limit=_MAX_WHEEL_BYTES).decode()
        except (OSError, ValueError):
            continue
        found = [int(tag[1]) if tag[1] else _OLD_TAGS[tag[2]] for tag in _WHEEL_TAG.finditer(text)]
        if found:
            yield min(found)
