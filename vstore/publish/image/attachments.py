"""Documents that belong to an image, such as its SBOM: each is an artifact whose subject is the manifest of the image.

https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#guidelines-for-artifact-usage
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vstore.objects import StorePath
from vstore.oci import EMPTY_DESCRIPTOR, Descriptor, ImageManifest, Sha256, media_types
from vstore.remote.records.annotations import OBJECT_PATH
from vstore.values import frozen, replace

TITLE = "org.opencontainers.image.title"


@frozen
class Attachment:
    """A document about an object: its content, media type and file name."""

    path: StorePath
    media_type: str
    name: str
    data: bytes


MakeAttachment = Callable[[StorePath], Attachment]  # raises VstoreError


@frozen
class Artifact:
    """An attachment as an artifact of an image. `subject` is the manifest of the image, for one platform."""

    attachment: Attachment
    subject: Descriptor

    @property
    def blob(self) -> Descriptor:
        """The attachment as the manifest of the artifact names it."""
        return Descriptor.of(self.attachment.media_type, self.attachment.data, {TITLE: self.attachment.name})

    @property
    def manifest(self) -> bytes:
        """The manifest of the artifact."""
        return ImageManifest(
            config=EMPTY_DESCRIPTOR,
            layers=(self.blob,),
            subject=replace(self.subject, annotations={}, platform=None),
            artifact_type=self.attachment.media_type,
            annotations={TITLE: self.attachment.name},
        ).encode()

    @property
    def descriptor(self) -> Descriptor:
        """The artifact as an index lists it."""
        annotations = {TITLE: self.attachment.name, OBJECT_PATH: str(self.attachment.path)}
        found = Descriptor.of(media_types.MANIFEST, self.manifest, annotations)
        return replace(found, artifact_type=self.attachment.media_type)


def referrers_tag(subject: Sha256) -> str:
    """Return the tag that lists the artifacts of a manifest in registries that do not list them themselves.

    https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
    """
    return f"sha256-{subject.hexadecimal}"


def merge_listed(listed: Iterable[Descriptor], artifacts: Iterable[Artifact]) -> tuple[Descriptor, ...]:
    """Return a list of artifacts with others that it lacks, at its end."""
    listed = tuple(listed)
    there = {one.digest for one in listed}
    return (*listed, *(found for one in artifacts if (found := one.descriptor).digest not in there))
