"""OCI layouts: a folder, or a tar file of one, with images of any number (image-spec v1.1.1, image-layout.md).

Both are read here. Whatever is named by a digest is compared with it.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from vstore.digest import canonical_json, parse_json
from vstore.documents import Fields
from vstore.errors import ArchiveError
from vstore.fs.reading import open_regular
from vstore.oci.model import MAX_DOCUMENT_BYTES, Descriptor, ImageIndex, Sha256

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
LAYOUT = canonical_json({"imageLayoutVersion": "1.0.0"})
TAG = "org.opencontainers.image.ref.name"  # the annotation of a manifest's descriptor in index.json
_PIECE_BYTES = 1 << 20
_MAX_MEMBERS = 100_000


def blob_path(digest: Sha256) -> str:
    """Return the path of a blob in a layout."""
    return f"blobs/sha256/{digest.hexadecimal}"


class ImageLayout:
    """A layout that can be read. `opener` opens one of its files, and raises KeyError or OSError if there is none.

    Methods raise ArchiveError for a layout that is incomplete or malformed.
    """

    def __init__(self, name: str, opener: Callable[[str], BinaryIO]) -> None:
        self._name, self._open = name, opener

    def check(self) -> None:
        """Raise ArchiveError unless it is a layout."""
        try:
            Fields(parse_json(self._read(LAYOUT_FILE))).text("imageLayoutVersion")
        except (ValueError, ArchiveError) as error:
            raise ArchiveError(f"not an OCI layout: {self._name}: {error}") from error

    def index(self) -> ImageIndex:
        """Return the list of images. The annotation `TAG` of a descriptor is its tag."""
        try:
            return ImageIndex.decode(self._read(INDEX_FILE))
        except ValueError as error:
            raise ArchiveError(f"malformed OCI layout: {self._name}/{INDEX_FILE}: {error}") from error

    def document(self, descriptor: Descriptor) -> bytes:
        """Return a small blob, compared with its digest."""
        data = self._read(blob_path(descriptor.digest))
        if Sha256.of(data) != descriptor.digest:
            raise self._wrong(descriptor)
        return data

    def copy(self, descriptor: Descriptor, target: Path) -> None:
        """Write a blob to a new file, compared with its digest and size. Raises OSError of that file."""
        hasher, size_bytes = sha256(), 0
        with open(target, "xb") as file:
            for piece in self._pieces(blob_path(descriptor.digest)):
                hasher.update(piece)
                size_bytes += len(piece)
                file.write(piece)
        if (hasher.hexdigest(), size_bytes) != (descriptor.digest.hexadecimal, descriptor.size_bytes):
            raise self._wrong(descriptor)

    def _read(self, path: str) -> bytes:
        data = b""
        for piece in self._pieces(path):
            data += piece
            if len(data) > MAX_DOCUMENT_BYTES:
                reason = f"larger than {MAX_DOCUMENT_BYTES} bytes"
                raise ArchiveError(f"malformed OCI layout: {self._name}/{path}: {reason}")
        return data

    def _pieces(self, path: str) -> Iterator[bytes]:
        try:
            with self._open(path) as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece
        except KeyError as error:
            raise ArchiveError(f"incomplete OCI layout: {self._name} has no {path}") from error
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ArchiveError(f"incomplete OCI layout: {self._name}/{path}: {reason}") from error
        except tarfile.TarError as error:
            raise ArchiveError(f"malformed OCI layout: {self._name}/{path}: {error}") from error

    def _wrong(self, descriptor: Descriptor) -> ArchiveError:
        return ArchiveError(f"damaged OCI layout: {self._name}: the content of {descriptor.digest} is another one")


@contextmanager
def open_layout(place: Path) -> Iterator[ImageLayout]:
    """Open a layout, a folder or a tar file. Raises ArchiveError unless it is one."""
    if place.is_dir():
        layout = ImageLayout(str(place), lambda path: open_regular(place / path))
        layout.check()
        yield layout
        return
    try:
        with open_regular(place) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            members = dict(_members(tar))
            layout = ImageLayout(str(place), lambda path: _member_file(tar, members[path]))
            layout.check()
            yield layout
    except tarfile.TarError as error:
        raise ArchiveError(
            f"not an OCI layout: {place}: {error}", hint="give a folder, or a tar file of one"
        ) from error
    except OSError as error:
        raise ArchiveError(f"not an OCI layout: {place}: {(error.strerror or str(error)).lower()}") from error


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    for number, member in enumerate(tar):
        if number == _MAX_MEMBERS:
            raise tarfile.TarError(f"more than {_MAX_MEMBERS} members")
        if member.isfile():
            yield os.path.normpath(member.name), member


def _member_file(tar: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    found = tar.extractfile(member)
    assert found is not None  # it is a file
    return found  # type: ignore[return-value]
