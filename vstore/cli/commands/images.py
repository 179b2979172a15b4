"""`vstore image`: stacks, applications and layers as images of containers."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from vstore.cli.command import command, options
from vstore.cli.commands.publish import compression_level, find_spec_or_object
from vstore.cli.commands.sbom import dated
from vstore.cli.options import platform_option, request_options, selection_options
from vstore.cli.paths import FILE, PLACE
from vstore.cli.settings import Settings
from vstore.cli.targets import each_target, parse_targets
from vstore.cli.text import table
from vstore.errors import UsageError
from vstore.plural import count
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api.images import BuiltImage, ImageOptions, ImageOutput, ImagePlace, ImagePlan
    from vstore.api.realising import Request
    from vstore.api.sboms import SbomOptions
    from vstore.api.stores import Store
    from vstore.cli.documents.publishing import ImageDocument, PlatformImageDocument

_FORMATS = ("folder", "file")


def _pairs(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Return NAME=VALUE texts by name."""
    found = [text.partition("=") for text in given]
    for name, equals, _value in found:
        if not name or not equals:
            raise UsageError(f"{option.opts[0]} {name}: expected NAME=VALUE")
    return {name: value for name, _equals, value in found}


class _Image(NamedTuple):
    """The options of an image, by the store that it is made from, and those of its SBOM."""

    options: Callable[[Store], ImageOptions]
    sbom: SbomOptions | None


def _image_options(level: int | None, best: bool, sbom: str | None, **given: object) -> _Image:
    from vstore.api.images import image_options
    from vstore.api.publishing import Compression
    from vstore.api.sboms import SbomFormat, SbomOptions

    options = partial(
        image_options,
        level=compression_level(Compression.ZST, level, best),
        source_date_epoch=os.environ.get("SOURCE_DATE_EPOCH"),
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
    )
    return _Image(options, dated(SbomOptions(format=SbomFormat(sbom))) if sbom else None)


def _place(
    output: Path | None, form: str | None, push: str | None, tags: tuple[str, ...], mount_from: tuple[str, ...]
) -> Callable[[Store, str | None], ImagePlace]:
    from vstore.api.images import Reference, layout_file, layout_folder, registry_place

    if (output is None) == (push is None):
        raise UsageError("an image goes to one place", hint="give --output PATH or --push REFERENCE")
    if output is None:
        if form is not None:
            raise UsageError("--format is about --output")
        reference = Reference.parse(str(push))
        return lambda store, base: registry_place(store, reference, tags=tags, mount_from=mount_from, base=base)
    if mount_from:
        raise UsageError("--mount-from is about --push")
    is_file = form == "file" if form else output.suffix == ".tar"
    make = layout_file if is_file else layout_folder
    return lambda store, _: make(store, output, tags=tags)


@command("image")
@click.argument("what", metavar="[SPEC|WHAT]…", nargs=-1)
@options(
    "place",
    _place,
    click.option("-o", "--output", type=PLACE, metavar="PATH", help="Write an OCI layout: a tar file, or a folder."),
    click.option(
        "--format", "form", type=click.Choice(_FORMATS), help="The form of the layout (default: a file for *.tar)."
    ),
    click.option("--push", metavar="REFERENCE", help="Push to a registry: host/repository:tag."),
    click.option(
        "--tag", "tags", multiple=True, help="Also give the image this tag (default: latest, if it has none)."
    ),
    click.option(
        "--mount-from",
        multiple=True,
        metavar="REPOSITORY",
        help="Take blobs from this repository of the same registry.",
    ),
)
@options(
    "image",
    _image_options,
    click.option("--base", metavar="BASE", help="The image below: a reference, or an OCI layout (PATH or PATH:TAG)."),
    click.option("--entrypoint", metavar="LAYER", help="The application that starts, if there are several."),
    click.option("--user", help="The user and group that it runs as (default: 65532:65532)."),
    click.option(
        "--workdir", "working_directory", metavar="DIR", help="The working directory (default: the base's, or /)."
    ),
    click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", callback=_pairs, help="Set a variable."),
    click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", callback=_pairs, help="Set a label."),
    click.option(
        "--annotation",
        "annotations",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_pairs,
        help="Set an annotation of the manifest.",
    ),
    click.option(
        "--key", "key_files", multiple=True, type=FILE, help="Sign with this secret key (default: the store's keys)."
    ),
    click.option(
        "--sbom", type=click.Choice(["cyclonedx", "spdx"]), help="Attach an SBOM, as an artifact of the image."
    ),
    click.option("--level", type=click.IntRange(1, 22), help="The compression level (default: 3)."),
    click.option("--best", is_flag=True, help="Make the smallest layers; this takes much longer."),
)
@platform_option
@request_options(selection_options)
def image_command(
    settings: Settings,
    what: tuple[str, ...],
    place: Callable[[Store, str | None], ImagePlace],
    image: _Image,
    platforms: tuple[str, ...],
    make_request: Callable[..., Request],
) -> None:
    """A SPEC is realised first, for each --platform; WHAT names a stack, an application or a layer of the store. Those
    of several platforms become one index.

    Each object is a layer, whose blob is its archive as caches have it. The image starts the interpreter itself, so it
    needs no shell; console scripts need `/bin/sh` and `readlink` of the base.
    """
    from vstore.api.images import image_output, write_image, write_image_of_specs

    spec = find_spec_or_object(settings, what[0] if what else None) if len(what) < 2 else None
    if platforms and spec is None:
        raise UsageError("--platform needs a spec; an object of the store has one platform")
    request = make_request(spec=spec or Path())
    with settings.open_store(create=spec is not None) as store:
        chosen = image.options(store)
        output = image_output(store, place(store, chosen.base), chosen, sbom=image.sbom)
        if spec is None:
            plan = write_image(
                store, what, output, jobs=request.jobs, dry_run=request.dry_run, reporter=settings.reporter
            )
        else:
            targets = parse_targets(platforms, spec, request.allow_outside)
            each = each_target(targets, platforms, spec, request.allow_outside)
            requests = [make_request(spec=spec, target=target) for target in each]
            plan = write_image_of_specs(store, requests, output, reporter=settings.reporter)
    document = _document(plan, output, request.dry_run)
    settings.emit(document, lambda: _text(plan, document))


def _document(plan: ImagePlan, output: ImageOutput, dry_run: bool) -> ImageDocument:
    return {
        "written": [item.name for item in plan.items if not item.unchanged],
        "unchanged": [item.name for item in plan.items if item.unchanged],
        "dry_run": dry_run,
        "place": output.place.name,
        "tags": list(output.place.tags),
        "digest": str(plan.top.digest) if plan.top else None,
        "images": [_platform(image) for image in plan.images],
        "sent_bytes": plan.sent_bytes,
        "sboms": [
            {
                "path": str(one.attachment.path),
                "image": str(one.subject.digest),
                "digest": str(one.descriptor.digest),
                "artifact_type": one.attachment.media_type,
            }
            for one in plan.artifacts
        ],
    }


def _platform(image: BuiltImage) -> PlatformImageDocument:
    return {
        "platform": str(image.platform),
        "digest": str(image.descriptor.digest),
        "image_id": str(image.config_descriptor.digest),
        "base": [str(layer.digest) for layer in image.base_layers],
        "layers": [
            {
                "path": str(layer.info.path),
                "digest": str(layer.descriptor.digest),
                "diff_id": str(layer.diff_id),
                "size_bytes": layer.archive.size_bytes,
            }
            for layer in image.layers
        ],
        "needs_glibc": image.needs.glibc,
        "needs_libraries": list(image.needs.libraries),
    }


def _text(plan: ImagePlan, document: ImageDocument) -> str:
    sizes = {layer["path"]: layer["size_bytes"] for image in document["images"] for layer in image["layers"]}
    verb = "would be written" if document["dry_run"] else "written"
    rows = [
        {
            "layer": item.label,
            "kind": str(item.kind),
            "size": size(sizes[item.name]) if item.name in sizes else "?",
            "state": "unchanged" if item.unchanged else verb,
        }
        for item in plan.items
    ]
    names = ", ".join(f"{document['place']}:{tag}" for tag in document["tags"])
    platforms = ", ".join(image["platform"] for image in document["images"])
    lines = [table(rows, {"layer": "layer", "kind": "kind", "size": "size", "state": "state"})]
    lines.append(f"{count(len(document['written']), 'layer')} {verb}, {len(document['unchanged'])} unchanged: {names}")
    if document["digest"]:
        lines.append(f"{document['digest']} for {platforms}")
    attached = "would attach" if document["dry_run"] else "attached"
    lines += [f"{attached} the SBOM of {one['path']}: {one['digest']}" for one in document["sboms"]]
    needs = {str(image.needs): None for image in plan.images if str(image.needs)}
    lines += [f"its base must have {text}" for text in needs]
    return "\n".join(lines)
