"""Bases: the images that others stand on, in OCI layouts and in registries."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from vstore.errors import ArchiveError, UsageError
from vstore.fs.paths import absolute
from vstore.oci import (
    MAX_DOCUMENT_BYTES,
    Descriptor,
    ImageConfig,
    ImageIndex,
    ImagePlatform,
    Reference,
    Sha256,
    decode_document,
    media_types,
)
from vstore.oci.layout import TAG, open_layout
from vstore.publish.image.assemble import BaseImage, fits
from vstore.remote.transport.protocol import Transport

_MOST_NESTED = 4  # indexes in each other


class BlobSource(Protocol):
    """A place with the blobs of an image, which compares them with their digests. Methods raise VstoreError."""

    def document(self, descriptor: Descriptor) -> bytes:
        """Return a small blob or a manifest."""

    def copy(self, descriptor: Descriptor, target: Path) -> None:
        """Write a blob to a new file."""


class RegistryBlobs:
    """The blobs of one repository of a registry, by its transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def document(self, descriptor: Descriptor) -> bytes:
        """Return a small blob or a manifest, compared with its digest by the transport."""
        is_manifest = descriptor.media_type in media_types.MANIFESTS + media_types.INDEXES
        key = f"{'manifests' if is_manifest else 'blobs'}/{descriptor.digest}"
        data = self._transport.get(key, limit=MAX_DOCUMENT_BYTES)
        if data is None:
            raise ArchiveError(f"incomplete image: {self._transport.url} has no {key}")
        return data

    def copy(self, descriptor: Descriptor, target: Path) -> None:
        """Write a blob to a new file, compared with its digest by the transport."""
        size = self._transport.download(f"blobs/{descriptor.digest}", target, limit=descriptor.size_bytes)
        if size != descriptor.size_bytes:
            raise ArchiveError(f"incomplete image: {self._transport.url} has no blob {descriptor.digest}")


class Base:
    """An opened base. `tops` are its images, and `name` is its reference, if it is of a registry."""

    def __init__(self, text: str, name: str | None, tops: tuple[Descriptor, ...], blobs: BlobSource) -> None:
        self._text, self._name, self._tops, self.blobs = text, name, tops, blobs

    def image(self, platform: ImagePlatform) -> BaseImage:
        """Return the image for a platform. Raises UsageError if there is none, ArchiveError if it is malformed."""
        try:
            found = {image.digest: image for top in self._tops for image in self._images(top, _MOST_NESTED)}
        except ValueError as error:
            raise ArchiveError(f"malformed base: {self._text}: {error}") from error
        chosen = [image for image in found.values() if fits(platform, image.config.platform)]
        if not chosen:
            others = ", ".join(sorted({str(image.config.platform) for image in found.values()})) or "none"
            raise UsageError(f"the base is not for {platform}: {self._text}", hint=f"its platforms: {others}")
        if len(chosen) > 1:
            raise UsageError(f"the base has several images for {platform}: {self._text}", hint="name one: FOLDER:TAG")
        return chosen[0]

    def _images(self, top: Descriptor, nested: int) -> Iterator[BaseImage]:
        """Yield the images of a document, without those that are no images of containers."""
        if top.media_type not in media_types.MANIFESTS + media_types.INDEXES:
            return
        document = decode_document(self.blobs.document(top))
        if isinstance(document, ImageIndex):
            if not nested:
                raise ValueError("too many indexes in each other")
            for one in document.manifests:
                yield from self._images(one, nested - 1)
        elif document.config.media_type in media_types.CONFIGS:
            config = ImageConfig.decode(self.blobs.document(document.config))
            if config.platform.os != "unknown":  # an attestation of BuildKit
                yield BaseImage.of(document, config, top.digest, self._name)


OpenTransport = Callable[[Reference], Transport]


@contextmanager
def open_base(text: str, open_repository: OpenTransport) -> Iterator[Base]:
    """Open a base: an OCI layout, as a folder or a tar file, or either with ``:TAG``, or a reference.

    Raises UsageError if it is none of them, ArchiveError if it is malformed, and CacheError.
    """
    place, tag = _local(text)
    if place is None:
        reference = Reference.parse(text)
        transport = open_repository(reference)
        data = transport.get(f"manifests/{reference.version}", limit=MAX_DOCUMENT_BYTES)
        if data is None:
            raise UsageError(f"no such image: {reference}")
        yield Base(text, str(reference), (_described(data, text),), RegistryBlobs(transport))
        return
    with open_layout(place) as layout:
        tops = layout.index().manifests
        if tag is not None:
            tags = [top.annotations.get(TAG) for top in tops]
            tops = tuple(top for top, found in zip(tops, tags, strict=True) if found == tag)
            if not tops:
                known = ", ".join(found for found in tags if found) or "none"
                raise UsageError(f"no image is tagged {tag} in {place}", hint=f"tags: {known}")
        yield Base(text, None, tops, layout)


def _local(text: str) -> tuple[Path | None, str | None]:
    """Return the path of a layout and the tag in it; no path for the text of a reference."""
    colons = [at for at, letter in enumerate(text) if letter == ":"]
    for end in (len(text), *reversed(colons)):
        if end and os.path.exists(text[:end]):
            return absolute(text[:end]), text[end + 1 :] or None
    if text.startswith((".", "/", "~")):
        raise UsageError(f"no such file or folder: {text}", hint="a base is an OCI layout, or a reference")
    return None, None


def _described(data: bytes, text: str) -> Descriptor:
    try:
        media_type = decode_document(data).media_type
    except ValueError as error:
        raise ArchiveError(f"malformed base: {text}: {error}") from error
    return Descriptor(media_type=media_type, digest=Sha256.of(data), size_bytes=len(data))
