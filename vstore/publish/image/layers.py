"""The layers of images, from the archives of a store, and their way to a place."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vstore.objects import ArchiveInfo, ObjectInfo
from vstore.oci import Descriptor
from vstore.publish.image.bases import Base
from vstore.publish.image.destinations import ImageDestination
from vstore.publish.image.model import ImageLayer, ImageOptions
from vstore.remote import Signer
from vstore.remote.packing.packed_archives import PackedArchives
from vstore.remote.records.annotations import annotations_of
from vstore.remote.records.model import Archive, ObjectRecord, Realisation
from vstore.reporter import CancellableReporter, NullReporter, Reporter
from vstore.store import Store

_SHARED_KEYS = ("wheel_keys", "recipe_text")  # metadata that is the same wherever an object is built


class LayerSource:
    """The archives of a store as layers, with the records of their objects."""

    def __init__(self, store: Store, options: ImageOptions, reporter: Reporter | None = None) -> None:
        self.store = store
        self.reporter = CancellableReporter(reporter or NullReporter())
        self.archives = PackedArchives(store, level=options.level, reporter=self.reporter)
        self._signer = Signer(options.keys)

    def known(self, info: ObjectInfo) -> ImageLayer | None:
        """Return the layer of an object that was packed before, by its digests; None for any other."""
        archive = self.archives.info(info.path)
        return self.layer(info, archive) if archive else None

    def layer(self, info: ObjectInfo, archive: ArchiveInfo) -> ImageLayer:
        """Return the layer of an object, with the records that a cache would have, signed, in its annotations."""
        metadata = self.store.manifest(info.path)[1]
        shared: Mapping[str, object] = {key: value for key, value in metadata.items() if key in _SHARED_KEYS}
        record = self._signer.sign(ObjectRecord.of(info, shared, Archive.of(archive)))
        recipes = sorted(self.store.realisations.recipes_of([info.path]), key=str)
        realisations = [self._signer.sign(Realisation.of(info, recipe)) for recipe in recipes]
        return ImageLayer(info=info, archive=archive, annotations=annotations_of(record, realisations))


class WrittenLayer(NamedTuple):
    """A layer in its place, and whether it was there before."""

    layer: ImageLayer
    unchanged: bool


class LayerWriter:
    """Writes layers to an opened place. `copied_bytes` are those of the layers of bases that it did not have."""

    def __init__(self, source: LayerSource, destination: ImageDestination) -> None:
        self._source = source
        self._destination = destination
        self.copied_bytes = 0

    def write(self, info: ObjectInfo) -> WrittenLayer:
        """Write the archive of an object, unless it is there: then it is not packed if its digests are known."""
        source, started = self._source, time.monotonic()
        layer = source.known(info)
        unchanged = layer is not None and self._destination.has(layer.descriptor)
        if layer is None or not unchanged:
            with source.archives.packed(info.path) as (file, archive):
                made = source.layer(info, archive)
                unchanged = made != layer and self._destination.has(made.descriptor)
                if not unchanged:
                    source.reporter.progress(info.path.name, "writing")
                    self._destination.put(made.descriptor, file)
            layer = made
        source.reporter.completed(info.path.name, "unchanged" if unchanged else "written", time.monotonic() - started)
        return WrittenLayer(layer, unchanged)

    def copy(self, layers: Iterable[Descriptor], base: Base) -> None:
        """Copy the layers of a base that are not there."""
        for layer in layers:
            if not self._destination.has(layer):
                self._source.reporter.progress("base", "copying")
                with self._source.store.staging("image-base") as staging:
                    base.blobs.copy(layer, staging / "blob")
                    self._destination.put(layer, staging / "blob")
                self.copied_bytes += layer.size_bytes
