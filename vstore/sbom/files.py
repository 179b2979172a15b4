"""The files of objects: shared libraries or all, with digests and owners."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vstore.build.layer_metadata import LayerMetadata, owner_of
from vstore.build.record_file import RecordEntry, read_record_file
from vstore.errors import BuildError, StoreError
from vstore.fs.reading import read_pieces
from vstore.fs.trees.manifest import EntryKind, Manifest
from vstore.sbom.model import HashedFile

_LIBRARY = re.compile(r"\.(?:so(?:\.[^/]*)?|dll|dylib|pyd)", re.IGNORECASE)
_BUILT_NAME = re.compile(r"(?:-[0-9a-f]{6,})+$")  # auditwheel and delvewheel add digests to names


def files_of(manifest: Manifest, *, all_files: bool) -> list[str]:
    """Return the paths of the files in a tree, or only those of its shared libraries, by their names."""
    paths = (os.fsdecode(entry.path) for entry in manifest.entries if entry.kind == EntryKind.FILE)
    return [path for path in paths if all_files or is_shared_library(path)]


def is_shared_library(path: str) -> bool:
    """Return whether a path has the name of a shared library or an extension module, on any system."""
    name = path.rpartition("/")[2]
    found = _LIBRARY.search(name)
    return found is not None and (found.end() == len(name)) and not name.endswith(".py")


def hash_files(folder: Path, paths: Iterable[str], recorded: Mapping[str, str] | None = None) -> list[HashedFile]:
    """Return files with their digests. A file with a `recorded` SHA-256 digest is not read.

    Raises StoreError for a file that cannot be read.
    """
    known = recorded or {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(
            pool.map(lambda path: HashedFile(path, known[path]) if path in known else _hash(folder, path), paths)
        )


def _hash(folder: Path, path: str) -> HashedFile:
    sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    try:
        for piece in read_pieces(folder / path, follow=False):
            sha1.update(piece)
            sha256.update(piece)
    except OSError as error:
        hint = "run `vstore verify --contents`"
        raise StoreError(f"cannot read {folder.name}/{path}: {error.strerror}", hint=hint) from error
    return HashedFile(path, sha256.hexdigest(), sha1.hexdigest())


class FileOwners:
    """The owners of the files of a layer: names of distributions, and paths of modules as the metadata have them.

    A RECORD is read when it is needed.
    """

    def __init__(self, layer: Path, metadata: LayerMetadata) -> None:
        self._layer = layer
        self._metadata = metadata
        owned = {path.rstrip("/"): one.name for one in metadata.distributions for path in one.owns}
        self._owned = owned | {module.rstrip("/"): module for module in metadata.own_modules}
        self._records: dict[str, dict[str, RecordEntry]] = {}

    def owner(self, path: str) -> str | None:
        """Return the owner of a file, None for a file of the layer itself.

        Of several distributions with the same file, it is the last by name.
        """
        found = owner_of(path, self._owned)
        if found is not None:
            return found
        names = (one.name for one in reversed(self._metadata.distributions))
        return next((name for name in names if path in self._record(name)), None)

    def recorded(self, names: Iterable[str]) -> dict[str, str]:
        """Return the SHA-256 digests of files by their paths, as the RECORDs of these distributions state them."""
        entries = (entry for name in names for entry in self._record(name).values())
        return {entry.path: digest for entry in entries if (digest := _sha256(entry))}

    def _record(self, name: str) -> dict[str, RecordEntry]:
        if name not in self._records:
            one = next(each for each in self._metadata.distributions if each.name == name)
            try:
                self._records[name] = read_record_file(self._layer, one.dist_info)
            except (BuildError, ValueError):
                self._records[name] = {}
        return self._records[name]


def _sha256(entry: RecordEntry) -> str | None:
    algorithm, _, text = entry.digest.partition("=")
    if algorithm != "sha256":
        return None
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
    except (ValueError, binascii.Error):
        return None


def library_names(path: str, site_packages: str) -> set[str]:
    """Return the names under which a shared library may be listed in the SBOM of its wheel, normalised.

    These are its own name without digests and versions, and that of the module that it is.
    """
    stem = path.rpartition("/")[2].partition(".so")[0].partition(".dylib")[0].removesuffix(".dll").removesuffix(".pyd")
    stem = _BUILT_NAME.sub("", stem)
    inside = path.removeprefix(f"{site_packages}/")
    module = "/".join((*inside.split("/")[:-1], stem.partition(".")[0])).replace("/", ".")
    return {normal_library_name(stem.partition(".")[0]), module.lower()}


def normal_library_name(name: str) -> str:
    """Return a name without `lib` before it and without a version at its end, in lower case."""
    return name.lower().removeprefix("lib").rstrip("0123456789.-_")
