"""Images as values: the options of one, and its layers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from vstore.fs.trees.manifest import FIXED_TIME
from vstore.objects import ArchiveInfo, ObjectInfo
from vstore.oci import Descriptor, ImagePlatform, Sha256, media_types
from vstore.remote import SecretKey
from vstore.remote.records.annotations import OBJECT_PATH
from vstore.target import Target
from vstore.values import frozen

FIXED_CREATED = datetime.fromtimestamp(FIXED_TIME, UTC)
NON_ROOT = "65532:65532"  # the user `nonroot` of images without a shell
_ARCHITECTURES = {Target.LINUX_X86_64: "amd64", Target.LINUX_AARCH64: "arm64"}


@frozen
class ImageOptions:
    """The options of an image.

    `base` is an OCI layout, as a folder, a tar file, or either with ``:TAG``, or a reference. `entrypoint` names the
    application to start, None for the only one. `level` is that of the archives, `keys` sign the records in the
    annotations. `working_directory` None is that of the base.
    """

    base: str | None = None
    entrypoint: str | None = None
    user: str = NON_ROOT
    working_directory: str | None = None
    environment: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    created: datetime = FIXED_CREATED
    level: int | None = None
    keys: tuple[SecretKey, ...] = ()


@frozen
class BaseNeeds:
    """The needs of an image from its base: the oldest glibc that will do, such as 2.34, and libraries by their names.

    `glibc` None: nothing states one.
    """

    glibc: str | None = None
    libraries: tuple[str, ...] = ()

    def __str__(self) -> str:
        glibc = (f"glibc {self.glibc} or newer",) if self.glibc else ()
        return ", ".join((*glibc, *self.libraries))


@frozen
class ImageLayer:
    """An object as a layer. `annotations` have its records, which a cache would have."""

    info: ObjectInfo
    archive: ArchiveInfo
    annotations: Mapping[str, str]

    @property
    def descriptor(self) -> Descriptor:
        """The layer as manifests name it."""
        return Descriptor(
            media_type=media_types.ZSTD_LAYER,
            digest=Sha256(self.archive.sha256),
            size_bytes=self.archive.size_bytes,
            annotations={OBJECT_PATH: str(self.info.path), **self.annotations},
        )

    @property
    def diff_id(self) -> Sha256:
        """The digest of its tar stream."""
        return Sha256(self.archive.diff_id)


@frozen
class BuiltImage:
    """The documents of an image for one platform, and the layers of its base and its own."""

    platform: ImagePlatform
    config: bytes
    manifest: bytes
    base_layers: tuple[Descriptor, ...]
    layers: tuple[ImageLayer, ...]
    needs: BaseNeeds = BaseNeeds()

    @property
    def config_descriptor(self) -> Descriptor:
        """The config as the manifest names it."""
        return Descriptor.of(media_types.CONFIG, self.config)

    @property
    def descriptor(self) -> Descriptor:
        """The image as an index names it."""
        return Descriptor(
            media_type=media_types.MANIFEST,
            digest=Sha256.of(self.manifest),
            size_bytes=len(self.manifest),
            platform=self.platform,
        )


def image_platform(target: Target) -> ImagePlatform | None:
    """Return the platform of images for a target; None for systems other than Linux, which have no such images."""
    architecture = _ARCHITECTURES.get(target)
    return ImagePlatform(os="linux", architecture=architecture) if architecture else None
