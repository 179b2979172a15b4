"""One image as a cache that only reads: its layers are archives, and their annotations have the signed records.

So a repository that has only an image can be pulled and substituted from. The image is read once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from vstore.cancel import CancelToken
from vstore.digest import Digest, canonical_json, parse_json
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.oci import MAX_DOCUMENT_BYTES, Descriptor, ImageIndex, ImageManifest, Reference, decode_document
from vstore.remote.records.annotations import OBJECT_PATH, OBJECT_RECORD, REALISATION_RECORDS
from vstore.remote.records.blob import Blob
from vstore.remote.records.cache import CacheWriter, attempt, check_exists
from vstore.remote.records.encoding import decode_object, decode_realisation
from vstore.remote.records.inventory import Inventory, Item
from vstore.remote.records.model import Channel, DeltaRecord, FileRecord, ObjectRecord, Realisation, SbomRecord
from vstore.remote.records.trust import NO_TRUST, Trust
from vstore.remote.registry_cache.repository import CREATED, layer_of, parse_time
from vstore.remote.transport.protocol import RepositoryTransport, TransportError
from vstore.sbom_format import SbomFormat
from vstore.values import frozen

_MAX_PLATFORMS = 64


@frozen
class AnnotatedLayers:
    """The layers of an image that are objects, by store path, and the records of recipes in their annotations."""

    layers: dict[StorePath, Descriptor]
    realisations: dict[Digest, Realisation]
    created: str | None


class ImageCache:
    """The image at a tag or a digest of a repository. It has no channels, no deltas, and no signed SBOMs."""

    reclaim_hint = None

    def __init__(
        self,
        transport: RepositoryTransport,
        reference: Reference,
        *,
        name: str | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        self.name = name or transport.url
        self.cancel = cancel or CancelToken()
        self._transport = transport
        self._version = reference.version
        self._lock = threading.Lock()
        self._image: AnnotatedLayers | None = None

    @property
    def url(self) -> str:
        """The URL without secrets."""
        return self._transport.url

    @property
    def writer(self) -> CacheWriter:
        """Raise TransportError: an image does not change."""
        raise TransportError(
            f"cannot write to an image: {self.url}", hint="the cache is the repository, without tag or digest"
        )

    def exists(self) -> bool:
        """Return whether the image exists. Raises CacheError if its manifest is malformed."""
        return self._read() is not None

    def realisation(self, recipe: Digest, known: Trust) -> Realisation | None:
        """Return the record of a recipe's object."""
        image = self._read()
        return image.realisations.get(recipe) if image else None

    def object(self, path: StorePath, known: Trust) -> ObjectRecord | None:
        """Return the record of an object."""
        image = self._read()
        layer = image.layers.get(path) if image else None
        if layer is None:
            return None
        record = decode_object(layer.annotations.get(OBJECT_RECORD, "").encode(), f"of {path} in {self.url}")
        if record.path != path or record.digest.short != path.short:
            raise CacheError(f"{self.name}: the layer of {path} has the record of another object")
        if layer_of(record).digest != layer.digest:
            raise CacheError(f"{self.name}: the record of {path} is for another layer")
        return record

    def delta(self, new: StorePath, old: StorePath, known: Trust) -> DeltaRecord | None:
        """Return None."""
        return None

    def sbom(self, path: StorePath, form: SbomFormat, known: Trust) -> SbomRecord | None:
        """Return None: the SBOMs of an image are artifacts without a signed record."""
        return None

    def channel(self, name: str, known: Trust, *, number: int | None = None) -> Channel | None:
        """Return None."""
        return None

    def channel_names(self) -> set[str]:
        """Return nothing."""
        return set()

    def file(self, record: FileRecord) -> Blob:
        """Return the file that a record describes: the archive of an object is its layer."""
        return Blob(self._transport, f"blobs/{layer_of(record).digest}")

    def inventory(self, problems: dict[str, str] | None = None) -> Inventory:
        """Read all records. With `problems`, malformed ones are left out and added there, by store path."""
        check_exists(self)
        image = self._read()
        assert image is not None
        items = {}
        for path, layer in image.layers.items():
            record, problem = attempt(partial(self.object, path, NO_TRUST))
            if record is not None:
                items[path] = self._item(record, layer, image)
            elif problems is None:
                raise CacheError(problem or f"{self.name} does not have {path}")
            else:
                problems[str(path)] = problem or ""
        return Inventory(
            items=items,
            realisations={str(recipe): record for recipe, record in image.realisations.items()},
            deltas={},
            sboms={},
            channels={},
            current={},
            pins=(),
            orphans=(),
            unfinished=(),
        )

    def _item(self, record: ObjectRecord, layer: Descriptor, image: AnnotatedLayers) -> Item:
        return Item(
            record=record,
            key=str(record.path),
            keys=(),
            size_bytes=layer.size_bytes,
            touched_at=parse_time(image.created),
            recipes=sum(one.path == record.path for one in image.realisations.values()),
        )

    def _read(self) -> AnnotatedLayers | None:
        """Return the layers with records; None if there is no such image. Raises CacheError if it is malformed."""
        with self._lock:
            if self._image is None:
                manifests = list(self._manifests(self._version))
                if manifests:
                    self._image = self._layers_of(manifests)
            return self._image

    def _manifests(self, version: str) -> Iterator[ImageManifest]:
        """Yield the manifest at a tag or a digest, or all those of the index there: one for each platform."""
        data = self._transport.get(f"manifests/{version}", limit=MAX_DOCUMENT_BYTES)
        if data is None:
            return
        try:
            document = decode_document(data)
        except ValueError as error:
            raise CacheError(f"malformed image {self.url}: {error}") from error
        if isinstance(document, ImageIndex):
            if version != self._version or len(document.manifests) > _MAX_PLATFORMS:
                raise CacheError(f"malformed image {self.url}: it is an index of indexes, or has too many platforms")
            for one in document.manifests:
                yield from self._manifests(str(one.digest))
        else:
            yield document

    def _layers_of(self, manifests: list[ImageManifest]) -> AnnotatedLayers:
        """Return the layers that name an object. Malformed records of recipes are left out: they are a miss."""
        layers: dict[StorePath, Descriptor] = {}
        realisations: dict[Digest, Realisation] = {}
        for layer in (layer for manifest in manifests for layer in manifest.layers):
            with suppress(ValueError):
                layers.setdefault(StorePath.parse(layer.annotations.get(OBJECT_PATH, "")), layer)
            for found in self._realisations_of(layer):
                realisations.setdefault(found.recipe, found)
        return AnnotatedLayers(layers=layers, realisations=realisations, created=manifests[0].annotations.get(CREATED))

    def _realisations_of(self, layer: Descriptor) -> Iterator[Realisation]:
        try:
            found = parse_json(layer.annotations.get(REALISATION_RECORDS, "[]").encode())
        except ValueError:
            return
        for one in found if isinstance(found, list) else []:
            with suppress(CacheError):
                record = decode_realisation(canonical_json(one), self.url)
                if record.digest.short == record.path.short:
                    yield record
