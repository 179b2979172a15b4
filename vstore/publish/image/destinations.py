"""The places of images: an OCI layout as a folder, one as a tar file, and a repository of a registry.

A place is checked before any work. Opened, it takes blobs, then manifests, and names the image last: so whoever sees an
image finds all of it, after a killed run too.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import ClassVar, Protocol

from vstore.errors import ArchiveError, UsageError
from vstore.fs.atomic import flush_file
from vstore.fs.place import check_output_folder, claim, lstat_or_none, put_bytes, put_file, real_folder, recognise
from vstore.fs.scratch import scratch
from vstore.fs.trees.manifest import FIXED_TIME
from vstore.oci import MAX_DOCUMENT_BYTES, Descriptor, ImageIndex, ImageManifest, Reference, media_types
from vstore.oci.layout import INDEX_FILE, LAYOUT, LAYOUT_FILE, TAG, ImageLayout, blob_path, open_layout
from vstore.publish.earlier_outputs import is_layout_file
from vstore.publish.image.attachments import Artifact, merge_listed, referrers_tag
from vstore.publish.metadata_folder import lock_output_folder
from vstore.remote.records.annotations import OBJECT_PATH
from vstore.remote.transport.protocol import TransportError, WritableTransport
from vstore.store import Store
from vstore.values import frozen, replace

DEFAULT_TAG = "latest"
_MAX_TRIES = 8


class ImageDestination(Protocol):
    """An opened place. Blobs of other images may be there."""

    def has(self, descriptor: Descriptor) -> bool:
        """Return whether a blob is there."""

    def put(self, descriptor: Descriptor, file: Path) -> None:
        """Add a blob, the content of a file."""

    def put_document(self, descriptor: Descriptor, data: bytes) -> None:
        """Add a config or a manifest."""

    def finish(self, top: Descriptor, data: bytes, artifacts: Sequence[Artifact] = ()) -> None:
        """Add the manifest or the index of the whole image under its tags, and list its artifacts, which are there."""


class ImagePlace(Protocol):
    """A place for images. Implementations are frozen values. With `parallel` several blobs may be added at a time."""

    parallel: ClassVar[bool]

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the image."""

    @property
    def name(self) -> str:
        """The absolute path, or the repository."""

    def check(self) -> None:
        """Raise UsageError if an image cannot be written there."""

    def has(self, descriptor: Descriptor) -> bool:
        """Return whether a blob is there already."""

    def opened(self, store: Store) -> AbstractContextManager[ImageDestination]:
        """Open the place for an image from a store."""


@frozen
class LayoutFolder:
    """An OCI layout in a folder, which may have other images. The image replaces earlier ones of its tags."""

    parallel: ClassVar[bool] = True
    folder: Path
    store: Path
    tags: tuple[str, ...] = (DEFAULT_TAG,)

    @property
    def name(self) -> str:
        """The absolute path."""
        return str(self.folder)

    def check(self) -> None:
        """Raise UsageError if the folder is anything but a layout, or if its image of a tag is not of vstore."""
        check_output_folder(self.folder, store=self.store)
        for path in ("blobs", "blobs/sha256"):
            real_folder(self.folder / path)
        for path in (LAYOUT_FILE, INDEX_FILE):
            recognise(self.folder / path, _is_file)
        if not (self.folder / LAYOUT_FILE).exists():
            there = os.listdir(self.folder) if self.folder.exists() else []
            if there:
                raise UsageError(
                    f"the folder is not an OCI layout: {self.folder}", hint="choose an empty folder, or a layout"
                )
            return
        for one in self._others():
            if one.annotations.get(TAG) in self.tags and OBJECT_PATH not in one.annotations:
                raise UsageError(
                    f"vstore did not make the image {one.annotations[TAG]} in {self.folder}",
                    hint="choose another --tag",
                )

    def has(self, descriptor: Descriptor) -> bool:
        """Return whether a blob of this size is there."""
        status = lstat_or_none(self.folder / blob_path(descriptor.digest))
        return status is not None and stat.S_ISREG(status.st_mode) and status.st_size == descriptor.size_bytes

    def put(self, descriptor: Descriptor, file: Path) -> None:
        """Add a blob, flushed."""
        place = recognise(self.folder / blob_path(descriptor.digest), _is_file)
        with scratch(self.folder, "image") as aside:
            shutil.copyfile(file, aside / "blob")
            with open(aside / "blob", "rb+") as copied:
                flush_file(copied.fileno())
            put_file(aside / "blob", place)

    def put_document(self, descriptor: Descriptor, data: bytes) -> None:
        """Add a config or a manifest."""
        if not self.has(descriptor):
            put_bytes(data, recognise(self.folder / blob_path(descriptor.digest), _is_file))

    def finish(self, top: Descriptor, data: bytes, artifacts: Sequence[Artifact] = ()) -> None:
        """Add the image to the list of the layout. Artifacts of images that are listed no longer leave the list."""
        self.put_document(top, data)
        others = tuple(one for one in self._others() if one.annotations.get(TAG) not in self.tags)
        listed = (*others, *_tagged(top, self.tags))
        try:
            with open_layout(self.folder) as layout:
                listed = tuple(_without_dangling(layout, listed))
        except ValueError as error:
            raise ArchiveError(f"malformed OCI layout: {self.folder}: {error}") from error
        index = ImageIndex(manifests=merge_listed(listed, artifacts)).encode()
        place = recognise(self.folder / INDEX_FILE, _is_file)
        put_bytes(index, place)

    @contextmanager
    def opened(self, store: Store) -> Iterator[ImageDestination]:
        """Make the folder if needed, lock it, and check it again."""
        self.check()
        with lock_output_folder(store, self.folder) as folder:
            here = replace(self, folder=folder)
            here.check()
            (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
            if not (folder / LAYOUT_FILE).exists():
                put_bytes(ImageIndex(manifests=()).encode(), recognise(folder / INDEX_FILE, _is_file))
                put_bytes(LAYOUT, recognise(folder / LAYOUT_FILE, _is_file))
            yield here

    def _others(self) -> tuple[Descriptor, ...]:
        try:
            with open_layout(self.folder) as layout:
                return layout.index().manifests
        except ArchiveError as error:
            raise UsageError(error.message, hint="choose another place, or remove it yourself") from error


@frozen
class LayoutFile:
    """An OCI layout in a tar file, written whole or not at all."""

    parallel: ClassVar[bool] = False
    file: Path
    store: Path
    tags: tuple[str, ...] = (DEFAULT_TAG,)

    @property
    def name(self) -> str:
        """The absolute path."""
        return str(self.file)

    def check(self) -> None:
        """Raise UsageError if the file is anything but such a layout that vstore made."""
        claim(self.file, is_layout_file, store=self.store)

    def has(self, descriptor: Descriptor) -> bool:
        """Return False: the file is written anew."""
        return False

    @contextmanager
    def opened(self, store: Store) -> Iterator[ImageDestination]:
        """Write aside, and move it to its place at the end."""
        place = claim(self.file, is_layout_file, store=self.store)
        with scratch(self.file.parent, "image") as aside:
            with open(aside / "image", "xb") as file:
                with tarfile.open(fileobj=file, mode="w:", format=tarfile.PAX_FORMAT) as tar:
                    yield _LayoutWriter(tar, self.tags)
                file.flush()
                flush_file(file.fileno())
            put_file(aside / "image", place)


class _LayoutWriter:
    """Writes a layout into a tar file, each blob once."""

    def __init__(self, tar: tarfile.TarFile, tags: Sequence[str]) -> None:
        self._tar, self._tags = tar, tags
        self._written: set[str] = set()
        tar.addfile(_member(LAYOUT_FILE, len(LAYOUT)), BytesIO(LAYOUT))

    def has(self, descriptor: Descriptor) -> bool:
        """Return whether a blob is written."""
        return str(descriptor.digest) in self._written

    def put(self, descriptor: Descriptor, file: Path) -> None:
        """Write a blob."""
        with open(file, "rb") as content:
            self._tar.addfile(_member(blob_path(descriptor.digest), descriptor.size_bytes), content)
        self._written.add(str(descriptor.digest))

    def put_document(self, descriptor: Descriptor, data: bytes) -> None:
        """Write a config or a manifest."""
        if not self.has(descriptor):
            self._tar.addfile(_member(blob_path(descriptor.digest), len(data)), BytesIO(data))
            self._written.add(str(descriptor.digest))

    def finish(self, top: Descriptor, data: bytes, artifacts: Sequence[Artifact] = ()) -> None:
        """Write the manifest or the index, then the list of images and artifacts."""
        self.put_document(top, data)
        index = ImageIndex(manifests=merge_listed(_tagged(top, self._tags), artifacts)).encode()
        self._tar.addfile(_member(INDEX_FILE, len(index)), BytesIO(index))


@frozen
class RegistryRepository:
    """A repository of a registry, by its transport. Blobs that it has are not sent again."""

    parallel: ClassVar[bool] = True
    reference: Reference
    transport: WritableTransport
    tags: tuple[str, ...] = (DEFAULT_TAG,)

    @property
    def name(self) -> str:
        """The repository."""
        return self.reference.name

    def check(self) -> None:
        """Raise UsageError if the reference has a digest: what is pushed has its own."""
        if self.reference.digest is not None:
            raise UsageError(f"an image is pushed under a tag: {self.reference}", hint="leave out @sha256:…")

    @contextmanager
    def opened(self, store: Store) -> Iterator[ImageDestination]:
        """Return itself: requests open their connections."""
        self.check()
        yield self

    def has(self, descriptor: Descriptor) -> bool:
        """Ask whether a blob is there."""
        return self.transport.head(f"blobs/{descriptor.digest}") is not None

    def put(self, descriptor: Descriptor, file: Path) -> None:
        """Send a blob."""
        self.transport.put(f"blobs/{descriptor.digest}", file)

    def put_document(self, descriptor: Descriptor, data: bytes) -> None:
        """Send a config or a manifest."""
        kind = "manifests" if descriptor.media_type in (media_types.MANIFEST, media_types.INDEX) else "blobs"
        self.transport.put(f"{kind}/{descriptor.digest}", data)

    def finish(self, top: Descriptor, data: bytes, artifacts: Sequence[Artifact] = ()) -> None:
        """Send the manifest or the index under each tag, and list the artifacts where the registry does not.

        Raises TransportError if others keep changing that list.
        """
        for tag in self.tags:
            self.transport.put(f"manifests/{tag}", data)
        for subject in dict.fromkeys(one.subject.digest for one in artifacts):
            if self.transport.get(f"referrers/{subject}", limit=MAX_DOCUMENT_BYTES) is None:
                self._list(referrers_tag(subject), [one for one in artifacts if one.subject.digest == subject])

    def _list(self, tag: str, artifacts: Sequence[Artifact]) -> None:
        """Add artifacts to the index at a tag. Others may write it too, so look again and repeat."""
        for _ in range(_MAX_TRIES):
            listed = self._listed(tag)
            merged = merge_listed(listed, artifacts)
            if merged == listed:
                return
            self.transport.put(f"manifests/{tag}", ImageIndex(manifests=merged).encode())
        raise TransportError(f"others keep changing {self.reference.name}:{tag}", hint="try again")

    def _listed(self, tag: str) -> tuple[Descriptor, ...]:
        data = self.transport.get(f"manifests/{tag}", limit=MAX_DOCUMENT_BYTES)
        try:
            return ImageIndex.decode(data).manifests if data else ()
        except ValueError as error:
            raise TransportError(f"malformed list of artifacts {self.reference.name}:{tag}: {error}") from error


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, FIXED_TIME, 0o644
    return member


def _tagged(top: Descriptor, tags: Sequence[str]) -> tuple[Descriptor, ...]:
    return tuple(replace(top, annotations={**top.annotations, TAG: tag}) for tag in tags)


def _without_dangling(layout: ImageLayout, listed: Iterable[Descriptor]) -> Iterator[Descriptor]:
    """Yield the entries of a list, except for the artifacts of vstore whose subject is not listed.

    Raises ArchiveError for an incomplete layout, ValueError for a malformed one.
    """
    listed = tuple(listed)
    indexes = [ImageIndex.decode(layout.document(one)) for one in listed if one.media_type in media_types.INDEXES]
    there = {one.digest for one in (*listed, *(inner for index in indexes for inner in index.manifests))}
    for one in listed:
        is_own = one.artifact_type is not None and OBJECT_PATH in one.annotations
        subject = ImageManifest.decode(layout.document(one)).subject if is_own else None
        if subject is None or subject.digest in there:
            yield one


def _is_file(_: Path, status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)
