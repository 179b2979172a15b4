"""Documents about archives, plain folders and bundles."""

from __future__ import annotations

from typing import Annotated, TypedDict

from vstore.api.publishing import CombinedManifest


class OutputDocument(TypedDict):
    """The files or folders that were written, or would be."""

    written: Annotated[list[str], "Names of the archives, folders or objects that were written"]
    unchanged: Annotated[list[str], "Names of those that an earlier run wrote and that are still right"]
    dry_run: Annotated[bool, "Whether nothing was written"]


class PublishDocument(OutputDocument, CombinedManifest):
    """Archives, and the metadata of their folder, see [publish.md](publish.md#metadata)."""

    output_dir: Annotated[str, "Absolute path of the output folder"]
    outdated: Annotated[list[str], "Layers of earlier runs that need a layer which is gone"]
    sboms: Annotated[list[str], "File names of the SBOMs that were written, or would be, with `--sbom`"]


class ExportDocument(OutputDocument, CombinedManifest):
    """Plain folders, and the metadata of their folder, see [publish.md](publish.md#metadata)."""

    output_dir: Annotated[str, "Absolute path of the output folder"]
    links: Annotated[str | None, "`symlink` or `copy`"]


class PackDocument(OutputDocument):
    """A bundle."""

    file: Annotated[str, "Absolute path of the bundle"]
    requested: Annotated[list[str], "Store paths that were given to `vstore pack`"]
    size_bytes: Annotated[int | None, "Size of the bundle; null with `--dry-run`"]


class GenerationMade(TypedDict):
    """The generation that a stack became."""

    profile: Annotated[str | None, "Name of the profile; null if no generation was made"]
    generation: Annotated[int | None, "Number of its current generation; null if none was made"]
    changed: Annotated[bool, "Whether the generation is new"]


class UnpackDocument(GenerationMade):
    """A bundle that was unpacked."""

    requested: Annotated[list[str], "Store paths that were given to `vstore pack`"]
    added: Annotated[list[str], "Store paths of the objects that the store did not have"]
    realisations: Annotated[int, "Number of recipes whose signed results were recorded"]


class ImageLayerDocument(TypedDict):
    """A layer of an image: an object, whose archive is the blob."""

    path: Annotated[str, "Store path of the object"]
    digest: Annotated[str, "Digest of the blob, `sha256:…`"]
    diff_id: Annotated[str, "Digest of its tar stream, `sha256:…`"]
    size_bytes: Annotated[int, "Size of the blob"]


class PlatformImageDocument(TypedDict):
    """An image for one platform."""

    platform: Annotated[str, "Its platform, such as `linux/amd64`"]
    digest: Annotated[str, "Digest of its manifest"]
    image_id: Annotated[str, "Digest of its config, which gives it its identity"]
    base: Annotated[list[str], "Digests of the blobs of its base, lowest first"]
    layers: Annotated[list[ImageLayerDocument], "Its own layers, lowest first"]
    needs_glibc: Annotated[str | None, "The oldest glibc that its base may have; null if nothing states one"]
    needs_libraries: Annotated[list[str], "Shared libraries that no object of it has, so the base must have them"]


class ImageSbomDocument(TypedDict):
    """An SBOM that belongs to an image, as an artifact."""

    path: Annotated[str, "Store path of the object whose parts it states"]
    image: Annotated[str, "Digest of the manifest of the image, which is its subject"]
    digest: Annotated[str, "Digest of its own manifest"]
    artifact_type: Annotated[str, "Media type of the SBOM"]


class ImageDocument(OutputDocument):
    """An image, or an index of images for several platforms. `written` and `unchanged` name objects."""

    place: Annotated[str, "Absolute path of the OCI layout, or the repository"]
    tags: Annotated[list[str], "Tags of the image"]
    digest: Annotated[
        str | None, "Digest of the manifest or the index; null in a dry run if an archive is not packed yet"
    ]
    images: Annotated[list[PlatformImageDocument], "The image of each platform; empty if the digest is null"]
    sent_bytes: Annotated[int, "Size of the blobs that the place did not have"]
    sboms: Annotated[list[ImageSbomDocument], "The SBOMs of the images, with `--sbom`; empty if the digest is null"]
