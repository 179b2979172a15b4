"""Documents about caches and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypedDict

from vstore.cli.documents.publishing import GenerationMade
from vstore.cli.text import when

if TYPE_CHECKING:
    from vstore.api.caches import PublishedChannel, SbomRecord


class ChannelDocument(TypedDict):
    """A channel that points to a pushed stack."""

    name: Annotated[str, "Name of the channel"]
    number: Annotated[int, "Number of its record: 1, 2, …"]
    expires_at: Annotated[str, "Time from which clients refuse the record"]
    signed_by: Annotated[list[str], "Names of the keys that signed it"]
    changed: Annotated[bool, "False if this record was there already, with the same signatures"]


def channel_document(channel: PublishedChannel) -> ChannelDocument:
    """Return the document of a published channel."""
    record = channel.record
    return {
        "name": record.name,
        "number": record.number,
        "expires_at": when(record.expires_at),
        "signed_by": [signature.key for signature in record.signatures],
        "changed": channel.changed,
    }


def channel_text(channel: PublishedChannel) -> str:
    """Return the line about a published channel."""
    record = channel.record
    if not channel.changed:
        return f"channel {record.name}: unchanged at number {record.number}"
    return f"channel {record.name} number {record.number} points to {record.path}"


class AttachedSbom(TypedDict):
    """An SBOM that is attached to an object."""

    path: Annotated[str, "Store path of the object"]
    format: Annotated[str, "`cyclonedx` or `spdx`"]
    size_bytes: Annotated[int, "Size of the SBOM"]
    sha256: Annotated[str, "SHA-256 of the SBOM, in hexadecimal digits"]


def sbom_document(record: SbomRecord) -> AttachedSbom:
    """Return the document of an SBOM's record."""
    return {
        "path": str(record.path),
        "format": str(record.format),
        "size_bytes": record.size_bytes,
        "sha256": record.sha256,
    }


class PushedSbom(AttachedSbom):
    """An SBOM that a push attached."""

    changed: Annotated[bool, "False if the cache had this SBOM already, with the same signatures"]


class PushDocument(TypedDict):
    """The result of a push."""

    cache: Annotated[str, "URL of the cache"]
    pushed: Annotated[list[str], "Store paths that were written to the cache"]
    replaced: Annotated[list[str], "Those of them that were damaged there"]
    present: Annotated[list[str], "Store paths that the cache had already"]
    pushed_bytes: Annotated[int, "Bytes sent, deltas and SBOMs included"]
    delta_bytes: Annotated[int, "Bytes of the deltas"]
    sboms: Annotated[list[PushedSbom], "The SBOMs that are attached, with `--sbom`"]
    conflicts: Annotated[list[str], "Recipes for which the cache has other results, one sentence each"]
    channel: Annotated[ChannelDocument | None, "The channel, null without `--channel`"]


class FetchedDocument(TypedDict):
    """An object that a pull fetched."""

    path: Annotated[str, "Store path"]
    method: Annotated[str, "`archive` if the whole archive was fetched, `ranges` if less was"]
    fetched_bytes: Annotated[int, "Bytes received"]
    saved_bytes: Annotated[int, "Bytes of the archive that were not needed"]


class PullDocument(GenerationMade):
    """The result of a pull."""

    cache: Annotated[str, "URL of the cache"]
    paths: Annotated[list[str], "Store paths that were requested"]
    fetched: Annotated[list[FetchedDocument], "Objects that were fetched"]
    fetched_bytes: Annotated[int, "Bytes received"]
    saved_bytes: Annotated[int, "Bytes of archives that were not needed"]


class CachedObject(TypedDict):
    """An object of a cache."""

    path: Annotated[str, "Store path"]
    kind: Annotated[str, "Kind of the object"]
    archive_bytes: Annotated[int, "Size of its archive"]
    size_bytes: Annotated[int, "Sum of the sizes of its files"]
    recipes: Annotated[int, "Number of recipes that give it"]
    touched_at: Annotated[str, "Time of the last push that had it"]
    signed_by: Annotated[list[str], "Names of the keys that signed it"]


class CachedChannel(TypedDict):
    """A number of a channel."""

    channel: Annotated[str, "Name of the channel"]
    number: Annotated[int, "Number of the record"]
    path: Annotated[str, "Store path of the stack"]
    created_at: Annotated[str, "Time of the push"]
    expires_at: Annotated[str, "Time from which clients refuse the record"]
    signed_by: Annotated[list[str], "Names of the keys that signed it"]


class CachedSbom(AttachedSbom):
    """An SBOM of an object of a cache."""

    signed_by: Annotated[list[str], "Names of the keys that signed its record"]


class CacheListDocument(TypedDict):
    """The contents of a cache."""

    cache: Annotated[str, "URL of the cache"]
    objects: Annotated[list[CachedObject], "Objects, by store path"]
    channels: Annotated[list[CachedChannel], "Channels, by name and number"]
    sboms: Annotated[list[CachedSbom], "SBOMs of these objects, by store path and format"]
    pins: Annotated[list[str], "Store paths that are pinned"]


class YoungObject(TypedDict):
    """An object that may be deleted later."""

    path: Annotated[str, "Store path"]
    deletable_at: Annotated[str, "Time from which a collection deletes it"]


class KeptObject(TypedDict):
    """An object that is kept."""

    path: Annotated[str, "Store path"]
    by: Annotated[str, "Channel, pin or policy that keeps it"]


class CacheGcDocument(TypedDict):
    """The result of `cache gc`."""

    deletable: Annotated[list[str], "Store paths of the objects to delete"]
    deleted: Annotated[list[str], "Those that were deleted; empty with `--dry-run`"]
    freed_bytes: Annotated[int, "Bytes that were, or would be, deleted"]
    orphans: Annotated[list[str], "Keys of incomplete pushes, deleted too"]
    too_young: Annotated[list[YoungObject], "Objects that are not old enough"]
    kept: Annotated[list[KeptObject], "Objects that are kept, and why"]


class CacheProblemDocument(TypedDict):
    """Something that is wrong in a cache."""

    key: Annotated[str, "Key in the cache"]
    problem: Annotated[str, "The fault"]


class CacheVerifyDocument(TypedDict):
    """The result of a check of a cache."""

    checked: Annotated[int, "Number of objects that were checked"]
    problems: Annotated[list[CacheProblemDocument], "Problems"]


class PinDocument(TypedDict):
    """A pin that was set or removed."""

    path: Annotated[str, "Store path"]
    pinned: Annotated[bool, "Whether the object is pinned now"]


class KeyDocument(TypedDict):
    """A new key."""

    name: Annotated[str, "Name of the key"]
    public: Annotated[str, "Public key, for `trusted_keys`: `name:base64`"]
    secret_file: Annotated[str, "Absolute path of the secret key"]
