"""Images of containers: a stack, an application or a layer, in an OCI layout or a registry.

Example::

    from pathlib import Path
    from vstore.api import images, stores

    with stores.open_store() as store:
        place = images.layout_folder(store, Path("image").absolute(), tags=["hello"])
        options = images.image_options(store, user="1000:1000", labels={"team": "vision"})
        made = images.write_image(store, ["project"], images.image_output(store, place, options))
        print(made.top.digest)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from vstore.errors import UsageError
from vstore.objects import ArchiveInfo, StorePath
from vstore.oci import Descriptor, ImagePlatform, Reference, Sha256
from vstore.profile import resolve_what
from vstore.publish import (
    ImageOptions,
    ImageOutput,
    ImagePlan,
    LayoutFile,
    LayoutFolder,
    RegistryRepository,
    StackMembers,
    members_of_objects,
)
from vstore.publish.image import (
    FIXED_CREATED,
    Artifact,
    Attachment,
    BaseNeeds,
    BuiltImage,
    ImageLayer,
    ImagePlace,
)
from vstore.realise.model import Request
from vstore.remote import SecretKey, open_repository, signing_keys
from vstore.remote.transport.protocol import Transport, writable
from vstore.reporter import NullReporter, Reporter
from vstore.sbom.model import SbomOptions
from vstore.store import Store
from vstore.values import replace

__all__ = [
    "ArchiveInfo",
    "Artifact",
    "Attachment",
    "BaseNeeds",
    "BuiltImage",
    "Descriptor",
    "ImageLayer",
    "ImageOptions",
    "ImageOutput",
    "ImagePlace",
    "ImagePlan",
    "ImagePlatform",
    "Reference",
    "Sha256",
    "image_options",
    "image_output",
    "layout_file",
    "layout_folder",
    "registry_place",
    "write_image",
    "write_image_of_specs",
]

_LATEST = ("latest",)
_LARGEST_TIME = 253_402_300_799  # the end of the year 9999


def image_options(
    store: Store, *, source_date_epoch: str | None = None, key_files: Iterable[Path] = (), **given: object
) -> ImageOptions:
    """Return the options of an image; `given` are fields of `ImageOptions`.

    `source_date_epoch` is the time of its creation, in seconds since 1970, as the variable SOURCE_DATE_EPOCH has it.
    Without key files the keys of the store sign. Raises UsageError.
    """
    created = FIXED_CREATED
    if source_date_epoch:
        if not source_date_epoch.isascii() or not source_date_epoch.isdigit() or int(source_date_epoch) > _LARGEST_TIME:
            raise UsageError(f"SOURCE_DATE_EPOCH is not a number of seconds: {source_date_epoch}")
        created = datetime.fromtimestamp(int(source_date_epoch), UTC)
    keys = tuple(map(SecretKey.read, key_files)) or signing_keys(store.layout.keys)
    return ImageOptions(created=created, keys=keys, **given)  # type: ignore[arg-type]


def layout_folder(store: Store, folder: Path, *, tags: Sequence[str] = ()) -> ImagePlace:
    """Return an OCI layout in a folder, by its absolute path, as the place of an image; without tags it is latest."""
    return LayoutFolder(folder=folder, store=store.layout.root, tags=tuple(tags) or _LATEST)


def layout_file(store: Store, file: Path, *, tags: Sequence[str] = ()) -> ImagePlace:
    """Return an OCI layout in a tar file, by its absolute path, as the place of an image; without tags it is latest."""
    return LayoutFile(file=file, store=store.layout.root, tags=tuple(tags) or _LATEST)


def registry_place(
    store: Store,
    reference: Reference,
    *,
    tags: Sequence[str] = (),
    mount_from: Sequence[str] = (),
    base: str | None = None,
) -> ImagePlace:
    """Return a repository of a registry as the place of an image, without a request.

    The image gets the tag of the reference and `tags`, else ``latest``. Blobs that a repository of `mount_from` has, or
    that of the `base`, are not sent if it is in the same registry. Raises UsageError.
    """
    given = (*((reference.tag,) if reference.tag else ()), *tags)
    sources = [*mount_from, *_repositories(base, reference.host)]
    transport = writable(open_repository(reference, store.config.caches, mount_from=sources))
    return RegistryRepository(reference=reference, transport=transport, tags=tuple(dict.fromkeys(given)) or _LATEST)


def _repositories(base: str | None, host: str) -> list[str]:
    """Return the repository of a base that is in this registry."""
    if base is None or os.path.exists(base):
        return []
    with suppress(UsageError):  # what else it may be is for `open_base` to tell
        reference = Reference.parse(base)
        return [reference.repository] if reference.host == host else []
    return []


def image_output(
    store: Store, place: ImagePlace, options: ImageOptions, *, sbom: SbomOptions | None = None
) -> ImageOutput:
    """Return the output of an image. Its base may be in any registry that this store knows a login for.

    With `sbom` an SBOM of each object for which the image is made becomes an artifact of the image.
    """

    def open_base(reference: Reference) -> Transport:
        return open_repository(reference, store.config.caches)

    return ImageOutput(
        store=store,
        place=place,
        options=options,
        open_repository=open_base,
        attachment=partial(_sbom, store, sbom) if sbom else None,
    )


def _sbom(store: Store, options: SbomOptions, path: StorePath) -> Attachment:
    from vstore.sbom.document import make_sbom

    return Attachment(
        path=path,
        media_type=options.format.media_type,
        name=path.name + options.format.suffix,
        data=make_sbom(store, path, options),
    )


def write_image(
    store: Store,
    what: Sequence[str],
    output: ImageOutput,
    *,
    jobs: int | None = None,
    dry_run: bool = False,
    reporter: Reporter | None = None,
) -> ImagePlan:
    """Write an image of objects of the store; those of several platforms become an index.

    A generation that is named becomes a label. In a dry run nothing is written. Raises the errors of `resolve_what`,
    UsageError for objects or a place that are not suitable, ArchiveError for a malformed base, and CacheError.
    """
    found = [resolve_what(store, text, keep=True) for text in what]
    numbers = {str(one.generation) for one in found if one.generation is not None}
    if len(numbers) == 1:
        labels = {"dev.vstore.generation": numbers.pop(), **output.options.labels}
        output = replace(output, options=replace(output.options, labels=labels))
    stack = members_of_objects(store, [one.path for one in found])
    return _written(stack, output, jobs or os.cpu_count() or 1, dry_run, reporter)


def write_image_of_specs(
    store: Store, requests: Sequence[Request], output: ImageOutput, *, reporter: Reporter | None = None
) -> ImagePlan:
    """Realise specs without generations, or one spec for several platforms, and write the image of all of them.

    In a dry run nothing is realised or written. Raises the errors of `realise`, and as `write_image`.
    """
    from vstore.api.publishing import realise_members
    from vstore.lock import Project

    output.check(())
    found = []
    for request in requests:
        project = Project.load(request.spec, environment=request.environment, allow_outside=request.allow_outside)
        found.append(realise_members(store, project, replace(request, generation=False), reporter or NullReporter()))
    selected = [one.only for one in found if one.only is not None]
    stack = StackMembers(
        members=tuple(member for one in found for member in one.members),
        only=frozenset().union(*selected) if selected else None,
    )
    return _written(stack, output, requests[0].jobs, requests[0].dry_run, reporter)


def _written(
    stack: StackMembers, output: ImageOutput, jobs: int, dry_run: bool, reporter: Reporter | None
) -> ImagePlan:
    return output.plan_images(stack) if dry_run else output.write_images(stack, jobs=jobs, reporter=reporter)
