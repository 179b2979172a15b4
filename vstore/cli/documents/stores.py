"""Documents about a store and its objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypedDict

if TYPE_CHECKING:
    from vstore.api.layers import Clash


class ObjectDocument(TypedDict):
    """An object of the store."""

    path: Annotated[str, "Store path"]
    name: Annotated[str, "Label: the store path without the digest"]
    kind: Annotated[str, "`interpreter`, `runtime`, `framework`, `application`, `stack` or `source`"]
    size_bytes: Annotated[int, "Sum of the sizes of its files"]
    files: Annotated[int, "Number of files"]
    registered_at: Annotated[str, "Time at which it became an object of this store"]
    used_on: Annotated[str, "Day of the last use (UTC), `YYYY-MM-DD`; of the registration if no use is recorded"]
    references: Annotated[list[str], "Store paths of the objects that it refers to"]


class ClashDocument(TypedDict):
    """A path for which two distributions have different files."""

    path: Annotated[str, "Path inside the layer"]
    kept: Annotated[str, "Distribution whose file the layer has; empty for a file of no distribution"]
    kept_layer: Annotated[str, "Layer of that distribution"]
    hidden: Annotated[str, "Distribution whose file is hidden; empty for a file of no distribution"]
    hidden_layer: Annotated[str, "Layer of that distribution"]


def clash_document(clash: Clash) -> ClashDocument:
    """Return a clash as its document."""
    return {
        "path": clash.path,
        "kept": clash.kept,
        "kept_layer": clash.kept_layer,
        "hidden": clash.hidden,
        "hidden_layer": clash.hidden_layer,
    }


class BuildDocument(TypedDict):
    """A build of an object, by the statement of its builder."""

    signed_by: Annotated[str | None, "Name of the key that signed it; null for what this store built"]
    recipe: Annotated[str, "Digest of the recipe"]
    host: Annotated[str, "Name of the machine"]
    system: Annotated[str, "Its operating system and processor"]
    vstore: Annotated[str, "Version of vstore"]
    uv: Annotated[str | None, "Version of uv, for a layer"]
    lock: Annotated[str | None, "Name of the lock file and digest of its packages, for a layer"]
    indexes: Annotated[list[str], "Servers that the wheels came from"]
    built_at: Annotated[str, "Time at which the build ended"]
    build_seconds: Annotated[float, "Duration of the build"]


class InfoDocument(ObjectDocument):
    """Everything known about an object."""

    location: Annotated[str, "Absolute path on this machine"]
    digest: Annotated[str, "BLAKE3 digest of its manifest, in hexadecimal"]
    recipe: Annotated[str | None, "Digest of the recipe that it was built from"]
    inputs: Annotated[list[str], "Store paths of the source objects that it was built from"]
    referrers: Annotated[list[str], "Store paths of the objects that refer to it"]
    closure_size_bytes: Annotated[int, "Size of it and everything it refers to, directly or not"]
    clashes: Annotated[list[ClashDocument], "Of a layer: the files that its merge hides"]
    builds: Annotated[list[BuildDocument], "Who built it, where and when, as far as known"]


class UsageDocument(TypedDict):
    """The disk space of an object, or of one package in it."""

    path: Annotated[str, "Store path of the object"]
    package: Annotated[
        str | None,
        "Normalised name of a distribution, `modules` for launch and support modules, `other` for links, scripts and"
        " metadata; null for a whole object",
    ]
    version: Annotated[str | None, "Version of the distribution"]
    files: Annotated[int, "Number of files and links"]
    size_bytes: Annotated[int, "Sum of the sizes of the files"]
    disk_bytes: Annotated[int, "Disk space, each inode once"]
    exclusive_bytes: Annotated[int, "Disk space that becomes free when only this goes"]
    shared_bytes: Annotated[int, "Disk space of files that have names elsewhere too"]


class DiskUsageDocument(TypedDict):
    """The disk space of objects and packages."""

    items: Annotated[list[UsageDocument], "The objects or packages, the largest first"]
    disk_bytes: Annotated[int, "Disk space of all these objects together, each inode once"]
    exclusive_bytes: Annotated[int, "Disk space that becomes free when all of them go"]


class ReportDocument(TypedDict):
    """A page about the store."""

    file: Annotated[str, "Absolute path of the page"]
    objects: Annotated[int, "Number of objects in the store"]
    profiles: Annotated[int, "Number of profiles"]
    store_bytes: Annotated[int, "Disk space of the store: objects, caches, index and logs"]
    freed_bytes: Annotated[int, "Disk space that a collection with the limits of config.toml would free"]
    findings: Annotated[int, "Number of findings on the page"]


class TreeDocument(TypedDict):
    """The closure of an object."""

    path: Annotated[str, "Store path of the object"]
    references: Annotated[dict[str, list[str]], "For each object of the closure, the objects that it refers to"]


class ChainDocument(TypedDict):
    """Why one object depends on another."""

    path: Annotated[str, "Store path of the first object"]
    dependency: Annotated[str, "Store path of the last object"]
    chain: Annotated[list[str], "Store paths from the first to the last; empty if there is no dependency"]


class LogDocument(TypedDict):
    """A build log."""

    path: Annotated[str, "Store path of the object"]
    log: Annotated[str, "Text of the log"]


class RootDocument(TypedDict):
    """A root, which keeps an object alive."""

    kind: Annotated[str, "Kind of root, such as `profile`, `user` or `process`"]
    name: Annotated[str, "Place of the link, relative to the store's root if it is inside; or the process"]
    path: Annotated[str, "Store path of the object"]
    since: Annotated[str | None, "Time since which it keeps the object"]
    closure_size_bytes: Annotated[int, "Sum of the sizes of the object and of all that it refers to"]
    exclusive_bytes: Annotated[int, "Disk space that only this root keeps"]
    note: Annotated[str | None, "Text of `--note`"]
    expires_at: Annotated[str | None, "Time from which it keeps nothing"]


class RootsDocument(TypedDict):
    """The roots of a store."""

    roots: Annotated[list[RootDocument], "The roots"]
    store_bytes: Annotated[int, "Disk space of the store: objects, caches, index and logs"]


class AddedRootDocument(TypedDict):
    """A new root."""

    root: Annotated[str, "Absolute path of the link"]
    path: Annotated[str, "Store path of the object"]
    note: Annotated[str | None, "Text of `--note`"]
    expires_at: Annotated[str | None, "Time from which it keeps nothing"]


class RemovedRootDocument(TypedDict):
    """A root that was removed."""

    removed: Annotated[str, "Absolute path of the link"]


class VictimDocument(TypedDict):
    """An object that a collection deletes, and why."""

    path: Annotated[str, "Store path"]
    size_bytes: Annotated[int, "Sum of the sizes of its files"]
    registered_at: Annotated[str, "Time at which it became an object of this store"]
    used_on: Annotated[str, "Day of the last use (UTC), `YYYY-MM-DD`; of the registration if no use is recorded"]
    used_by: Annotated[str | None, "Profile that used it last"]
    build_seconds: Annotated[float | None, "Duration of its build"]


class DeletionDocument(TypedDict):
    """The result of `delete`."""

    deletable: Annotated[list[str], "Store paths of the objects to delete"]
    deleted: Annotated[list[str], "Those that were deleted; empty with `--dry-run`"]
    freed_bytes: Annotated[int, "Disk space that was, or would be, freed"]
    reasons: Annotated[list[VictimDocument], "The same objects with the reasons"]


class ForgottenGeneration(TypedDict):
    """A generation that was forgotten."""

    profile: Annotated[str, "Name of the profile"]
    generation: Annotated[int, "Number of the generation"]


class CollectionDocument(DeletionDocument):
    """The result of `gc`."""

    skipped: Annotated[list[str], "Store paths of dead objects that belong to other users and stay"]
    orphans: Annotated[list[str], "Paths of files that no object or process owns, deleted too"]
    cached_wheels: Annotated[list[str], "Wheels that were removed from uv's cache"]
    forgotten: Annotated[list[ForgottenGeneration], "Generations that were forgotten first"]


class ProblemDocument(TypedDict):
    """Something that is wrong in a store."""

    path: Annotated[str, "Store path or profile"]
    problem: Annotated[str, "The fault"]


class VerifyDocument(TypedDict):
    """The result of a check."""

    checked: Annotated[int, "Number of objects that were checked"]
    repaired: Annotated[list[str], "Store paths of objects that were repaired"]
    problems: Annotated[list[ProblemDocument], "Problems that remain"]


class OptimiseDocument(TypedDict):
    """The space that sharing equal files saves."""

    objects: Annotated[int, "Number of objects that were examined"]
    shared_files: Annotated[int, "Number of files that became hard links"]
    saved_bytes: Annotated[int, "Disk space that was, or would be, saved"]
    dry_run: Annotated[bool, "Whether nothing was changed"]


class ReindexDocument(TypedDict):
    """A new index."""

    objects: Annotated[int, "Number of objects in it"]


class FindingDocument(TypedDict):
    """A problem that `doctor` found."""

    id: Annotated[str, "Kind of problem, which stays the same in later releases, such as `little-space`"]
    level: Annotated[str, "`error` if commands fail or objects are damaged, else `warning`"]
    text: Annotated[str, "The problem in words, with advice"]


class DoctorDocument(TypedDict):
    """Problems of this machine and this store."""

    root: Annotated[str, "Absolute path of the store"]
    findings: Annotated[list[FindingDocument], "Problems that were found"]
    objects: Annotated[
        str | None,
        "How objects are protected: `read-only mount`, `read-only modes` or `writable by root`; null without a store",
    ]
