"""Images as an output: the archives of objects as layers, then the documents that list them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from vstore.objects import ObjectInfo, StorePath
from vstore.oci import EMPTY_BLOB, EMPTY_DESCRIPTOR, Descriptor, media_types
from vstore.publish.image.assemble import BaseImage, assemble, assemble_index
from vstore.publish.image.attachments import Artifact, MakeAttachment
from vstore.publish.image.bases import Base, OpenTransport, open_base
from vstore.publish.image.contents import ImageContents, image_contents
from vstore.publish.image.destinations import ImageDestination, ImagePlace
from vstore.publish.image.layers import LayerSource, LayerWriter
from vstore.publish.image.model import BuiltImage, ImageLayer, ImageOptions
from vstore.publish.members import StackMembers
from vstore.publish.output import OutputItem, OutputPlan
from vstore.remote.records.annotations import OBJECT_PATH
from vstore.reporter import Reporter
from vstore.store import Store
from vstore.values import frozen, replace

_MAX_QUESTIONS = 16  # to a place at the same time


class ImagePlan(NamedTuple):
    """The layers of images, and the images themselves where all their archives are known: none otherwise.

    `top` is what the tags name: the manifest of one image, or the index of several. `sent_bytes` are the bytes of
    layers that the place did not have. `artifacts` are documents that belong to the images.
    """

    items: tuple[OutputItem, ...]
    images: tuple[BuiltImage, ...] = ()
    top: Descriptor | None = None
    sent_bytes: int = 0
    artifacts: tuple[Artifact, ...] = ()


@frozen
class ImageOutput:
    """An image at one place, of members for any number of platforms: several become an index.

    `open_repository` opens the registries of bases. `attachment` makes a document about an object for which an image is
    made: it becomes an artifact of the image.
    """

    store: Store
    place: ImagePlace
    options: ImageOptions
    open_repository: OpenTransport
    attachment: MakeAttachment | None = None

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
        contents, source = self._contents(stack), LayerSource(self.store, self.options)
        known = {info.path: source.known(info) for info in _distinct(contents)}
        layers = {path: layer for path, layer in known.items() if layer}
        images: tuple[BuiltImage, ...] = ()
        with self._opened_base() as base:
            bases = self._bases(base, contents)
        if len(layers) == len(known):
            images = tuple(map(self._assembled(layers), contents, bases))
        below = {layer.digest: layer for one in bases if one for layer in one.layers}
        own = {path: layer.descriptor for path, layer in layers.items()}
        with ThreadPoolExecutor(_MAX_QUESTIONS) as pool:
            blobs = [*below.values(), *own.values()]
            there = {
                blob.digest for blob, is_there in zip(blobs, pool.map(self.place.has, blobs), strict=True) if is_there
            }
        items = tuple(
            _item(info, unchanged=info.path in own and own[info.path].digest in there) for info in _distinct(contents)
        )
        sent = sum(blob.size_bytes for blob in blobs if blob.digest not in there)
        top = self._top(images)[0] if images else None
        return ImagePlan(items, images, top, sent, self._artifacts(images, contents))

    def write_images(self, stack: StackMembers, *, jobs: int = 1, reporter: Reporter | None = None) -> ImagePlan:
        """Write the image, each object in one of `jobs` threads. Raises UsageError, ArchiveError and CacheError."""
        contents = self._contents(stack)
        with self._opened_base() as base, self.place.opened(self.store) as destination:
            bases = self._bases(base, contents)
            writer = LayerWriter(LayerSource(self.store, self.options, reporter), destination)
            for one in bases:
                if base is not None and one is not None:
                    writer.copy(one.layers, base)
            with ThreadPoolExecutor(jobs if self.place.parallel else 1) as pool:
                written = {one.layer.info.path: one for one in pool.map(writer.write, _distinct(contents))}
            layers = {path: one.layer for path, one in written.items()}
            images = tuple(map(self._assembled(layers), contents, bases))
            artifacts = self._artifacts(images, contents)
            top = self._finish(destination, images, contents, artifacts)
        items = tuple(_item(one.layer.info, unchanged=one.unchanged) for one in written.values())
        sent = [one.layer.archive.size_bytes for one in written.values() if not one.unchanged]
        return ImagePlan(items, images, top, writer.copied_bytes + sum(sent), artifacts)

    def _artifacts(self, images: Sequence[BuiltImage], contents: Sequence[ImageContents]) -> tuple[Artifact, ...]:
        """Return the artifacts of the images, which stand in the order of their contents."""
        if self.attachment is None or not images:
            return ()
        return tuple(
            Artifact(attachment=self.attachment(path), subject=image.descriptor)
            for image, one in zip(images, contents, strict=True)
            for path in one.tops
        )

    def _assembled(
        self, layers: Mapping[StorePath, ImageLayer]
    ) -> Callable[[ImageContents, BaseImage | None], BuiltImage]:
        return lambda contents, base: assemble(
            contents, [layers[info.path] for info in contents.objects], base, self.options
        )

    def _top(self, images: Sequence[BuiltImage]) -> tuple[Descriptor, bytes]:
        """Return what the tags name: the manifest of one image, or the index of several."""
        if len(images) == 1:
            return images[0].descriptor, images[0].manifest
        data = assemble_index(images, self.options)
        return Descriptor.of(media_types.INDEX, data), data

    def _finish(
        self,
        destination: ImageDestination,
        images: Sequence[BuiltImage],
        contents: Sequence[ImageContents],
        artifacts: Sequence[Artifact],
    ) -> Descriptor:
        """Add the configs, the manifests, the artifacts and last what the tags name, which is returned."""
        top, data = self._top(images)
        for image in images:
            destination.put_document(image.config_descriptor, image.config)
            if top.digest != image.descriptor.digest:
                destination.put_document(image.descriptor, image.manifest)
        for artifact in artifacts:
            destination.put_document(EMPTY_DESCRIPTOR, EMPTY_BLOB)
            destination.put_document(artifact.blob, artifact.attachment.data)
            destination.put_document(artifact.descriptor, artifact.manifest)
        paths = " ".join(str(path) for one in contents for path in one.tops)
        destination.finish(replace(top, annotations={OBJECT_PATH: paths}), data, artifacts)
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


def _distinct(contents: Iterable[ImageContents]) -> list[ObjectInfo]:
    """Return the objects of all platforms, each once."""
    return list({info.path: info for one in contents for info in one.objects}.values())


def _item(info: ObjectInfo, *, unchanged: bool) -> OutputItem:
    return OutputItem(info.path.name, str(info.path), info.kind, info.path, info.size_bytes, unchanged)
