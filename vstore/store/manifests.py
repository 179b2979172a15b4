"""Manifest files: the tree manifest and the metadata of an object, in one compressed file beside the store.

Format, compressed with zstd as a whole: ``"vstore-manifest-1\\n"``, the length of the metadata as a big-endian u32, the
metadata as JSON (`ManifestMetadata`), the encoded tree manifest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NotRequired, TypedDict

from vstore.digest import Digest, canonical_json, parse_json
from vstore.errors import StoreError
from vstore.fs import zstd
from vstore.fs.reading import read_regular
from vstore.fs.trees.manifest import EntryKind, Manifest, Outline
from vstore.objects import LAYER_FILE, SOURCE_FOLDER, STACK_FILE, Kind, ObjectInfo, StorePath, is_store_path
from vstore.store.index.realisations import Realisations
from vstore.store.layout import StoreLayout
from vstore.store.model import BuildStatement, Provenance
from vstore.values import replace

_MAGIC = b"vstore-manifest-1\n"
_MAX_BYTES = 1 << 30
_MAX_LAYER_BYTES = 1 << 26
_LAYER_KINDS = {Kind.RUNTIME, Kind.FRAMEWORK, Kind.APPLICATION}
_LAYER_PATH, _STACK_PATH, _SOURCE_PATH = (os.fsencode(str(path)) for path in (LAYER_FILE, STACK_FILE, SOURCE_FOLDER))
_HINT = "`vstore verify --repair` writes it again"


class ManifestMetadata(TypedDict):
    """The metadata in a manifest file. A file may hold further keys.

    Digests and wheel keys are in hexadecimal, paths are store paths, times are ISO 8601. `recipes` are those that gave
    the object beside `recipe`. `recipe_text` is the text of `recipe`, `origins` are the URLs of its parts;
    they may come from another machine and hold anything. `builds` are `BuildStatement`s: ``statement``, and ``key`` and
    ``signature`` in hexadecimal of those from caches.
    """

    kind: str
    digest: str
    recipe: str | None
    recipes: NotRequired[list[str]]
    references: list[str]
    inputs: list[str]
    registered_at: str
    wheel_keys: list[str]
    recipe_text: NotRequired[object]
    origins: NotRequired[object]
    builds: NotRequired[list[dict[str, str]]]


OWN_KEYS = ManifestMetadata.__annotations__.keys() - {
    "recipe_text",
    "origins",
}  # a cache's record decides any other key


def write_manifest(
    layout: StoreLayout, info: ObjectInfo, manifest: Manifest, provenance: Provenance, *, durable: bool = False
) -> None:
    """Write the manifest file of an object. The caller flushes, unless it is to be `durable` at once."""
    document = {
        **provenance.metadata,
        "kind": str(info.kind),
        "digest": str(info.digest),
        "recipe": str(info.recipe) if info.recipe else None,
        "references": [str(path) for path in info.references],
        "inputs": [str(path) for path in info.inputs],
        "registered_at": info.registered_at.isoformat(),
        "wheel_keys": [key.hex() for key in provenance.wheel_keys],
    }
    if provenance.builds:
        document["builds"] = list(map(_build_document, provenance.builds))
    text = canonical_json(document)
    content = _MAGIC + len(text).to_bytes(4, "big") + text + manifest.encoded
    if len(content) > _MAX_BYTES:
        raise StoreError(f"refused: the manifest of {info.path} has more than {_MAX_BYTES >> 30} GiB")
    with layout.opened(layout.manifests) as folder:
        folder.write(str(info.path), zstd.compress(content), mode=0o444, durable=durable)


def read_manifest(file: Path) -> tuple[Manifest, ManifestMetadata]:
    """Return the tree manifest and the metadata in a manifest file. Raises StoreError as `read_encoded` does."""
    encoded, metadata = read_encoded(file)
    return Manifest.decode(encoded), metadata


def read_encoded(file: Path | str) -> tuple[bytes, ManifestMetadata]:
    """Return the encoded tree manifest and the metadata in a manifest file.

    Raises StoreError if the file is missing, damaged or of another version.
    """
    try:
        data = zstd.decompress(read_regular(file, limit=_MAX_BYTES, follow=False), at_most=_MAX_BYTES)
    except FileNotFoundError as error:
        raise StoreError(f"the manifest is missing: {file}", hint=_HINT) from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"the manifest is damaged: {file}", hint=_HINT) from error
    except OSError as error:
        raise StoreError(f"the manifest cannot be read: {file}: {error.strerror}") from error
    if not data.startswith(_MAGIC):
        raise StoreError(f"not a manifest of version 1: {file}")
    start = len(_MAGIC) + 4
    end = start + int.from_bytes(data[len(_MAGIC) : start], "big")
    try:
        metadata: ManifestMetadata = parse_json(data[start:end])
        _check(metadata)
        return data[end:], metadata
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StoreError(f"the manifest is damaged: {file}", hint=_HINT) from error


def _check(metadata: ManifestMetadata) -> None:
    """Raise ValueError, TypeError or KeyError unless the metadata is as `write_manifest` writes it."""
    Kind(metadata["kind"])
    for digest in (metadata["digest"], metadata["recipe"], *metadata.get("recipes", ())):
        if digest is not None:
            Digest.parse(digest)
    if not all(map(is_store_path, (*metadata["references"], *metadata["inputs"]))):
        raise ValueError("a name is not a store path")
    for key in metadata["wheel_keys"]:
        bytes.fromhex(key)
    builds_of(metadata)
    if datetime.fromisoformat(metadata["registered_at"]).tzinfo is None:
        raise ValueError("a time without a time zone")


def builds_of(metadata: ManifestMetadata) -> tuple[BuildStatement, ...]:
    """Return who built an object, where and when. Raises ValueError, TypeError or KeyError for malformed metadata."""
    builds = metadata.get("builds", ())
    signatures = (bytes.fromhex(one["signature"]) if "signature" in one else None for one in builds)
    return tuple(
        BuildStatement(one["statement"], one.get("key"), signature)
        for one, signature in zip(builds, signatures, strict=True)
    )


def merge_builds(*builds: BuildStatement) -> tuple[BuildStatement, ...]:
    """Return one statement for each key and one of this store: the last."""
    return tuple({one.key: one for one in builds}.values())


def _build_document(build: BuildStatement) -> dict[str, str]:
    if build.key is None or build.signature is None:
        return {"statement": build.text}
    return {"statement": build.text, "key": build.key, "signature": build.signature.hex()}


def object_info(path: StorePath, manifest: Manifest, metadata: ManifestMetadata) -> ObjectInfo:
    """Return the row of an object according to its manifest file. Raises StoreError if it is not of this object."""
    if StorePath.make(manifest.digest, path.name) != path:
        raise StoreError(f"the manifest belongs to another object than {path}")
    try:
        return ObjectInfo(
            path=path,
            digest=manifest.digest,
            kind=Kind(metadata["kind"]),
            size_bytes=manifest.size_bytes,
            files=manifest.files,
            references=tuple(sorted(manifest.references(path))),
            recipe=Digest.parse(metadata["recipe"]) if metadata["recipe"] else None,
            registered_at=datetime.fromisoformat(metadata["registered_at"]),
            inputs=tuple(map(StorePath.parse, metadata["inputs"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"the manifest of {path} is damaged: {error}") from error


def merge_metadata(
    layout: StoreLayout, realisations: Realisations, known: ObjectInfo, fresh: ObjectInfo, provenance: Provenance
) -> tuple[ObjectInfo, Provenance]:
    """Return row and provenance of a registered object that is added again: nothing known of it is lost."""
    path = known.path
    inputs = tuple(sorted({*known.inputs, *fresh.inputs}))
    info = replace(fresh, recipe=known.recipe, registered_at=known.registered_at, inputs=inputs)
    recipes = [str(recipe) for recipe in realisations.recipes_of([path]) if recipe != known.recipe]
    earlier: Mapping[str, object] = {"recipes": recipes} if recipes else {}
    builds: tuple[BuildStatement, ...] = ()
    with suppress(StoreError):
        manifest, metadata = read_manifest(layout.manifest(path))
        if manifest.digest == info.digest:
            earlier, builds = metadata, builds_of(metadata)
    return info, replace(
        provenance,
        wheel_keys=tuple(sorted({*realisations.wheel_keys(path), *provenance.wheel_keys})),
        metadata={**provenance.metadata, **earlier},
        builds=merge_builds(*builds, *provenance.builds),
    )


def kind_in_tree(tree: Path | str, outline: Outline) -> Kind | None:
    """Return the kind that the files of a tree state; None for a tree without such files, as an interpreter's.

    The tree is the authority: a kind in a record or an index may be wrong. A layer's file decides before a stack's,
    as any wheel may contain a file named like a stack's.
    """
    if outline.kinds.get(_LAYER_PATH) == EntryKind.FILE:
        try:
            document = parse_json(read_regular(os.path.join(tree, LAYER_FILE), limit=_MAX_LAYER_BYTES, follow=False))
            kind = Kind(document["kind"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return kind if kind in _LAYER_KINDS else None
    if outline.kinds.get(_STACK_PATH) == EntryKind.FILE:
        return Kind.STACK
    tops = {path.partition(b"/")[0] for path in outline.kinds}
    return Kind.SOURCE if tops == {_SOURCE_PATH} else None
