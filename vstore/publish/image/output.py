"""Images as an output: the archives of objects as layers, then the documents that list them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from vstore.digest import canonical_json, parse_json
from vstore.objects import ArchiveInfo, ObjectInfo
from vstore.oci import Descriptor, media_types
from vstore.publish.image.assemble import BaseImage, assemble, assemble_index
from vstore.publish.image.bases import Base, OpenTransport, open_base
from vstore.publish.image.contents import ImageContents, image_contents
from vstore.publish.image.destinations import ImageDestination, ImagePlace
from vstore.publish.image.model import (
    OBJECT_ANNOTATION,
    PATH_ANNOTATION,
    REALISATIONS_ANNOTATION,
    BuiltImage,
    ImageLayer,
    ImageOptions,
)
from vstore.publish.members import StackMembers
from vstore.publish.output import OutputItem, OutputPlan
from vstore.remote import Signer
from vstore.remote.packing.packed_archives import PackedArchives
from vstore.remote.records.encoding import encode
from vstore.remote.records.model import Archive, ObjectRecord, Realisation
from vstore.reporter import CancellableReporter, NullReporter, Reporter
from vstore.store import Store
from vstore.values import frozen, replace

_SHARED_KEYS = ("wheel_keys", "recipe_text")  # metadata that is the same wherever an object is built


class ImagePlan(NamedTuple):
    """The layers of images, and the images themselves where all their archives are known: none otherwise.

    `top` is what the tags name: the manifest of one image, or the index of several.
    """

    items: tuple[OutputItem, ...]
    images: tuple[BuiltImage, ...] = ()
    top: Descriptor | None = None


@frozen
class ImageOutput:
    """An image at one place, of members for any number of platforms: several become an index.

    `open_repository` opens the registries of bases.
    """

    store: Store
    place: ImagePlace
    options: ImageOptions
    open_repository: OpenTransport

    def check(self, names: Iterable[str]) -> None:
        """Raise UsageError if the image cannot be written to the place. `names` do not matter."""
        self.place.check()

    def plan(self, stack: StackMembers) -> OutputPlan:
        """Return the layers, lowest first. In a dry run, members that are not built yet come last, by their names."""
        return OutputPlan(items=self.plan_images(stack).items)

    def write(self, stack: StackMembers, *, jobs: int = 1, reporter: Reporter | None = None) -> OutputPlan:
        """Write the image, each object in one thread of `jobs`. Raises UsageError, ArchiveError and CacheError."""
        return OutputPlan(items=self.write_images(stack, jobs=jobs, reporter=reporter).items)

    def plan_images(self, stack: StackMembers) -> ImagePlan:
        """Return the plan of `write_images`, with the images if no archive of theirs has to be packed first."""
        self.place.check()
        unbuilt = [one for one in stack.selected(below=True) if one.path is None]
        if unbuilt:
            infos = self.store.objects.bottom_up(one.path for one in stack.selected(below=True) if one.path)
            built = tuple(_item(info, unchanged=False) for info in infos)
            return ImagePlan(
                (*built, *(OutputItem(one.deployed_name, one.deployed_name, one.kind, None, None) for one in unbuilt))
            )
        contents = self._contents(stack)
        with self._opened_base() as base:
            self._bases(base, contents)
        return ImagePlan(tuple(_item(info, unchanged=False) for info in _distinct(contents)))

    def write_images(self, stack: StackMembers, *, jobs: int = 1, reporter: Reporter | None = None) -> ImagePlan:
        """Write the image, each object in one of `jobs` threads. Raises UsageError, ArchiveError and CacheError."""
        contents = self._contents(stack)
        with self._opened_base() as base, self.place.opened(self.store) as destination:
            bases = self._bases(base, contents)
            writer = _LayerWriter(self.store, destination, self.options, reporter or NullReporter())
            threads = jobs if self.place.parallel else 1
            with ThreadPoolExecutor(threads) as pool:
                written = {one.layer.info.path: one for one in pool.map(writer.write, _distinct(contents))}
            images = []
            for one, base_image in zip(contents, bases, strict=True):
                layers = [written[info.path].layer for info in one.objects]
                image = assemble(one, layers, base_image, self.options)
                if base is not None:
                    writer.copy(image.base_layers, base)
                destination.put_document(Descriptor.of(media_types.CONFIG, image.config), image.config)
                images.append(image)
            top = self._finish(destination, images, contents)
        items = tuple(_item(one.layer.info, unchanged=one.unchanged) for one in written.values())
        return ImagePlan(items, tuple(images), top)

    def _finish(
        self, destination: ImageDestination, images: Sequence[BuiltImage], contents: Sequence[ImageContents]
    ) -> Descriptor:
        """Add the manifests, and return what the tags name."""
        paths = " ".join(str(path) for one in contents for path in one.tops)
        if len(images) == 1:
            top, data = images[0].descriptor, images[0].manifest
        else:
            for image in images:
                destination.put_document(image.descriptor, image.manifest)
            data = assemble_index(images, self.options)
            top = Descriptor.of(media_types.INDEX, data)
        destination.finish(replace(top, annotations={PATH_ANNOTATION: paths}), data)
        return top

    def _contents(self, stack: StackMembers) -> tuple[ImageContents, ...]:
        """Return the contents of the image for each platform. The layers of a stack come with it."""
        paths = [one.path for one in stack.selected(below=False) if one.path]
        below = {path for top in paths for path in self.store.objects.closure([top]) if path != top}
        return image_contents(self.store, [path for path in paths if path not in below], self.options.entrypoint)

    @contextmanager
    def _opened_base(self) -> Iterator[Base | None]:
        if self.options.base is None:
            yield None
        else:
            with open_base(self.options.base, self.open_repository) as base:
                yield base

    @staticmethod
    def _bases(base: Base | None, contents: Sequence[ImageContents]) -> list[BaseImage | None]:
        return [base.image(one.platform) if base else None for one in contents]


class _Written(NamedTuple):
    """A layer in its place, and whether it was there before."""

    layer: ImageLayer
    unchanged: bool


class _LayerWriter:
    """Writes the layers of images to an opened place."""

    def __init__(self, store: Store, destination: ImageDestination, options: ImageOptions, reporter: Reporter) -> None:
        self._store = store
        self._destination = destination
        self._signer = Signer(options.keys)
        self._reporter = CancellableReporter(reporter)
        self._archives = PackedArchives(store, level=options.level, reporter=self._reporter)

    def write(self, info: ObjectInfo) -> _Written:
        """Write the archive of an object, unless it is there: then it is not packed if its digests are known."""
        started, name = time.monotonic(), info.path.name
        known = self._archives.info(info.path)
        layer = self._layer(info, known) if known else None
        unchanged = layer is not None and self._destination.has(layer.descriptor)
        if layer is None or not unchanged:
            with self._archives.packed(info.path) as (file, archive):
                layer = self._layer(info, archive)
                unchanged = self._destination.has(layer.descriptor)
                if not unchanged:
                    self._reporter.progress(name, "writing")
                    self._destination.put(layer.descriptor, file)
        self._reporter.completed(name, "unchanged" if unchanged else "written", time.monotonic() - started)
        return _Written(layer, unchanged)

    def _layer(self, info: ObjectInfo, archive: ArchiveInfo) -> ImageLayer:
        metadata = self._store.manifest(info.path)[1]
        return ImageLayer(info=info, archive=archive, annotations=self._records(info, metadata, archive))

    def copy(self, layers: Iterable[Descriptor], base: Base) -> None:
        """Copy the layers of a base that are not there."""
        for layer in layers:
            if not self._destination.has(layer):
                self._reporter.progress("base", "copying")
                with self._store.staging("image-base") as staging:
                    base.blobs.copy(layer, staging / "blob")
                    self._destination.put(layer, staging / "blob")

    def _records(self, info: ObjectInfo, metadata: Mapping[str, object], archive: ArchiveInfo) -> dict[str, str]:
        """Return the records of an object that a cache would have, signed, as annotations of its layer."""
        shared = {key: metadata[key] for key in _SHARED_KEYS if key in metadata}
        record = self._signer.sign(ObjectRecord.of(info, shared, Archive.of(archive)))
        recipes = sorted(self._store.realisations.recipes_of([info.path]), key=str)
        realisations = [encode(self._signer.sign(Realisation.of(info, recipe))) for recipe in recipes]
        return {
            OBJECT_ANNOTATION: encode(record).decode().rstrip("\n"),
            REALISATIONS_ANNOTATION: canonical_json([parse_json(one) for one in realisations]).decode(),
        }


def _distinct(contents: Iterable[ImageContents]) -> list[ObjectInfo]:
    """Return the objects of all platforms, each once."""
    return list({info.path: info for one in contents for info in one.objects}.values())


def _item(info: ObjectInfo, *, unchanged: bool) -> OutputItem:
    return OutputItem(info.path.name, str(info.path), info.kind, info.path, info.size_bytes, unchanged)
