"""Manifest files: an object's tree manifest and metadata, one compressed file beside the store.

Format, compressed with zstd as a whole: ``"vstore-manifest-1\\n"``, the length of the metadata as a
big-endian u32, the metadata as JSON (kind, digest, recipe, references,
registered_at, parts, …), the tree manifest's encoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from vstore.digest import Digest, canonical_json, parse_json
from vstore.errors import StoreError
from vstore.fs import zstd
from vstore.fs.reading import read_regular
from vstore.fs.trees.manifest import Manifest
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.store.index.objects import Index
from vstore.store.layout import Layout
from vstore.values import replace

_MAGIC = b"vstore-manifest-1\n"
_MOST_BYTES = 1 << 30
OWN_KEYS = frozenset(
    ("kind", "digest", "recipe", "recipes", "references", "inputs", "registered_at", "parts")
)  # of metadata
_HINT = "`vstore verify --repair` writes it again"


def write_manifest(
    layout: Layout,
    info: ObjectInfo,
    manifest: Manifest,
    parts: Iterable[bytes],
    metadata: Mapping[str, object],
    *,
    durable: bool = False,
) -> None:
    """Write it whole; the caller flushes, unless it is to be durable at once."""
    document = {
        **metadata,
        "kind": str(info.kind),
        "digest": str(info.digest),
        "recipe": str(info.recipe) if info.recipe else None,
        "references": [str(path) for path in info.references],
        "inputs": [str(path) for path in info.inputs],
        "registered_at": info.registered_at.isoformat(),
        "parts": [key.hex() for key in parts],
    }
    text = canonical_json(document)
    content = _MAGIC + len(text).to_bytes(4, "big") + text + manifest.encode()
    if len(content) > _MOST_BYTES:
        raise StoreError(f"refused: the manifest of {info.path} has more than {_MOST_BYTES} bytes")
    data = zstd.compress(content)
    with layout.opened(layout.manifests) as folder:
        folder.write(str(info.path), data, mode=0o444, durable=durable)


def read_manifest(file: Path, *, likely: Manifest | None = None) -> tuple[Manifest, dict[str, Any]]:
    """The manifest and the metadata; StoreError when the file is missing, damaged or of another version.

    A manifest that is byte for byte the `likely` one need not be decoded.
    """
    try:
        data = zstd.decompress(read_regular(file, limit=_MOST_BYTES, follow=False), at_most=_MOST_BYTES)
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
        metadata = _checked(parse_json(data[start:end]))
        encoded = data[end:]
        return likely if likely and likely.encoded == encoded else Manifest.decode(encoded), metadata
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StoreError(f"the manifest is damaged: {file}", hint=_HINT) from error


def _checked(document: Any) -> dict[str, Any]:
    """The metadata, whose own keys are as `write_manifest` writes them; ValueError, TypeError or KeyError if not."""
    Kind(document["kind"])
    for digest in (document["digest"], document["recipe"], *document.get("recipes", ())):
        if digest is not None:
            Digest.parse(digest)
    for path in (*document["references"], *document["inputs"]):
        StorePath.parse(path)
    for key in document["parts"]:
        bytes.fromhex(key)
    if datetime.fromisoformat(document["registered_at"]).tzinfo is None:
        raise ValueError("a time without its zone")
    return dict(document)


def object_info(path: StorePath, manifest: Manifest, metadata: Mapping[str, Any]) -> ObjectInfo:
    """What the index should say of an object, read off its manifest. StoreError if that makes no sense."""
    if StorePath.make(manifest.digest, path.name) != path:
        raise StoreError(f"the manifest is not the one of {path}")
    try:
        return _object_info(path, manifest, metadata)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"the manifest of {path} is damaged: {error}") from error


def _object_info(path: StorePath, manifest: Manifest, metadata: Mapping[str, Any]) -> ObjectInfo:
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


def merge_metadata(
    index: Index,
    layout: Layout,
    known: ObjectInfo,
    fresh: ObjectInfo,
    parts: Iterable[bytes],
    metadata: Mapping[str, object],
) -> tuple[ObjectInfo, tuple[bytes, ...], Mapping[str, object]]:
    """What to write of a registered object that is put back: nothing that was known of it is lost."""
    path = known.path
    inputs = tuple(sorted({*known.inputs, *fresh.inputs}))
    info = replace(fresh, recipe=known.recipe, registered_at=known.registered_at, inputs=inputs)
    recipes = [str(recipe) for recipe in index.recipes([path]) if recipe != known.recipe]
    earlier: Mapping[str, object] = {"recipes": recipes} if recipes else {}
    with suppress(StoreError):
        manifest, found = read_manifest(layout.manifest(path))
        earlier = found if manifest.digest == info.digest else earlier
    return info, tuple(sorted({*index.parts(path), *parts})), {**metadata, **earlier}
