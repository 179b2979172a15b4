"""`vstore publish` and `vstore export`: stacks for machines without a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from vstore.cli.command import Function, add_options, command, options
from vstore.cli.options import platform_option, request_options, selection_options, spec_argument
from vstore.cli.paths import FOLDER
from vstore.cli.settings import Settings
from vstore.cli.targets import each_target, parse_targets
from vstore.cli.text import table
from vstore.errors import NotFoundError, UsageError
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api.publishing import ArchiveOptions, Compression, FolderOptions, Output, OutputPlan
    from vstore.api.realising import Request
    from vstore.api.stores import Store
    from vstore.cli.documents.publishing import ExportDocument, OutputDocument, PublishDocument

force_option = click.option("--force", is_flag=True, help="Also write files and folders that exist and are unchanged.")


def _output_options(function: Function) -> Function:
    return add_options(
        function,
        click.option("--output-dir", "output", type=FOLDER, required=True, metavar="DIR", help="The output folder."),
        platform_option,
        request_options(selection_options),
    )


def compression_level(compression: Compression, level: int | None, best: bool) -> int | None:
    """Return the compression level that the options ask for, None if neither is given.

    Raises UsageError if both are given, or if the format does not have that level.
    """
    from vstore.api.publishing import Compression

    if best and level is not None:
        raise UsageError("--best and --level exclude each other")
    if level is not None and level > 9 and compression is not Compression.ZST:
        raise UsageError(f"--level {level}: {compression} has levels 1 to 9")
    return compression.best_level if best else level


class _Archives(NamedTuple):
    """The options of archives, and the format of the SBOM beside each of them, if one is wanted."""

    options: ArchiveOptions
    sbom: str | None


def _archive_options(
    compression: str, level: int | None, best: bool, no_bytecode: bool, sbom: str | None, **given: bool
) -> _Archives:
    from vstore.api.publishing import ArchiveOptions, Compression

    chosen = Compression(compression)
    level = compression_level(chosen, level, best)
    return _Archives(ArchiveOptions(compression=chosen, level=level, bytecode=not no_bytecode, **given), sbom)


@command("publish")
@spec_argument
@_output_options
@options(
    "archives",
    _archive_options,
    click.option("--tag-outputs", is_flag=True, help="Add the platform and a build number to the names."),
    click.option(
        "--format",
        "compression",
        type=click.Choice(["zst", "xz", "gz"]),
        default="zst",
        help="The compression (default: zst).",
    ),
    click.option("--level", type=click.IntRange(1, 22), help="The compression level."),
    click.option("--best", is_flag=True, help="Make the smallest archives; this takes much longer."),
    click.option("--no-bytecode", is_flag=True, help="Leave out bytecode: Python compiles at each start instead."),
    click.option("--sbom", type=click.Choice(["cyclonedx", "spdx"]), help="Write an SBOM beside each archive."),
    force_option,
)
def publish_command(
    settings: Settings,
    spec: Path,
    output: Path,
    platforms: tuple[str, ...],
    make_request: Callable[..., Request],
    archives: _Archives,
) -> None:
    """The spec is realised first, without a new generation. The archives run where they are unpacked side by side, and
    have metadata. Archives that exist and are unchanged are kept.
    """
    from vstore.api.publishing import ArchiveOutput, write_spec

    allow_outside = make_request(spec=spec).allow_outside
    targets = parse_targets(platforms, spec, allow_outside)
    if len(targets) > 1 and not archives.options.tag_outputs:
        raise UsageError("several platforms in one folder need --tag-outputs")
    shown = []
    with settings.open_store(create=True) as store:
        for target in each_target(targets, platforms, spec, allow_outside):
            chosen = make_request(spec=spec, target=target)
            place = ArchiveOutput(store=store, folder=output, target=str(target), options=archives.options)
            plan = write_spec(store, chosen, place, reporter=settings.reporter)
            sboms = _write_sboms(store, plan, output, archives.sbom, settings, chosen.dry_run)
            shown.append(_archives(plan, output, chosen.dry_run, sboms))
    documents = [document for document, _ in shown]
    settings.emit(documents[0] if len(targets) == 1 else documents, lambda: "\n\n".join(text for _, text in shown))


def _write_sboms(
    store: Store, plan: OutputPlan, folder: Path, form: str | None, settings: Settings, dry_run: bool
) -> Mapping[str, int | None]:
    """Write the SBOMs that are wanted, unless in a dry run; return their sizes in bytes, None if unknown, by name."""
    from vstore.api.sboms import SbomFormat, SbomOptions, plan_sboms, write_sboms
    from vstore.cli.commands.sbom import dated

    if form is None:
        return {}
    options = dated(SbomOptions(format=SbomFormat(form)))
    if dry_run:
        return dict.fromkeys(plan_sboms(plan, options.format))
    return write_sboms(store, plan, folder, options, reporter=settings.reporter)


def output_document(plan: OutputPlan, dry_run: bool) -> OutputDocument:
    """Return the part of the document that all outputs have."""
    return {
        "written": [item.name for item in plan.written],
        "unchanged": [item.name for item in plan.unchanged],
        "dry_run": dry_run,
    }


def _archives(
    plan: OutputPlan, output: Path, dry_run: bool, sboms: Mapping[str, int | None]
) -> tuple[PublishDocument, str]:
    from vstore.api.publishing import outdated_layers

    assert plan.manifest is not None  # archives have metadata
    document: PublishDocument = {
        **plan.manifest,
        **output_document(plan, dry_run),
        "output_dir": str(output),
        "outdated": outdated_layers(plan.manifest),
        "sboms": list(sboms),
    }
    verb = "would be packed" if dry_run else "packed"
    written = "would be written" if dry_run else "written"

    def row(name: str, kind: str, size_bytes: int | None, state: str) -> dict[str, str]:
        return {"archive": name, "kind": kind, "size": "?" if size_bytes is None else size(size_bytes), "state": state}

    rows = []
    for item in plan.items:
        size_bytes = item.record.get("archive_size") if item.record else None
        rows.append(row(item.name, str(item.kind), size_bytes, "unchanged" if item.unchanged else verb))
    rows += [row(name, "sbom", size_bytes, written) for name, size_bytes in sboms.items()]
    columns = {"archive": "archive", "kind": "kind", "size": "size", "state": "state"}
    return document, f"{table(rows, columns)}\nmetadata in {output / '__venvstacks__'}"


def _folder_options(links: str, hardlink: bool, force: bool) -> FolderOptions:
    from vstore.api.publishing import FolderOptions, LinkMode

    return FolderOptions(links=LinkMode(links), hardlink=hardlink, force=force)


@command("export")
@click.argument("what", metavar="[SPEC|WHAT]", required=False)
@_output_options
@options(
    "folders",
    _folder_options,
    click.option(
        "--links",
        type=click.Choice(["auto", "symlink", "copy"]),
        default="auto",
        help="Use symbolic links, or copies (default: links, if the file system has them).",
    ),
    click.option(
        "--hardlink", is_flag=True, help="Make hard links to the files of the store; they must not be edited."
    ),
    force_option,
)
def export_command(
    settings: Settings,
    what: str | None,
    output: Path,
    platforms: tuple[str, ...],
    make_request: Callable[..., Request],
    folders: FolderOptions,
) -> None:
    """The folders work on systems without a store. A SPEC is realised first. WHAT names a stack, which is exported
    as it is.
    """
    from vstore.api.publishing import FolderOutput, write_spec

    spec = find_spec_or_object(settings, what)
    if platforms and spec is None:
        raise UsageError("--platform needs a spec; an object of the store has one platform")
    chosen = make_request(spec=spec or Path())
    if spec is not None:
        targets = parse_targets(platforms, chosen.spec, chosen.allow_outside)
        if len(targets) != 1:
            raise UsageError("export writes one platform at a time")
        chosen = make_request(spec=chosen.spec, target=targets[0])
    with settings.open_store(create=True) as store:
        place = FolderOutput(store=store, folder=output, options=folders)
        if what is None or spec is not None:
            plan = write_spec(store, chosen, place, reporter=settings.reporter)
        else:
            plan = _write_stack(settings, store, what, chosen, place)
    assert plan.manifest is not None  # folders have metadata
    document: ExportDocument = {
        **plan.manifest,
        **output_document(plan, chosen.dry_run),
        "output_dir": str(output),
        "links": next((item.record["vstore"].get("links") for item in plan.items if item.record), None),
    }
    settings.emit(document, lambda: _folders_text(plan, output, chosen.dry_run))


def find_spec_or_object(settings: Settings, what: str | None) -> Path | None:
    """Return the spec that SPEC names; None for WHAT. A folder is named with a slash or dot, and has a spec in it."""
    from vstore.api.specs import specs_in

    if what is None:
        return settings.find_spec(None)
    place = Path(what)
    is_folder = ("/" in what or what in (".", "..")) and place.is_dir()
    if place.is_file() or what.endswith(".toml") or (is_folder and specs_in(place)):
        return settings.find_spec(place)
    return None


def _write_stack(settings: Settings, store: Store, what: str, request: Request, place: Output) -> OutputPlan:
    from vstore.api.publishing import write_stack
    from vstore.api.specs import specs_in

    try:
        return write_stack(store, what, request, place, reporter=settings.reporter)
    except NotFoundError as error:
        if Path(what).is_dir() and specs_in(Path(what)):
            raise NotFoundError(error.message, hint=f"write ./{what} for the spec in that folder") from error
        raise


def _folders_text(plan: OutputPlan, output: Path, dry_run: bool) -> str:
    rows = [
        {"name": item.label, "kind": str(item.kind), "folder": item.record["install_target"] or "?"}
        for item in plan.items
        if item.record
    ]
    verb = "would be written" if dry_run else "written"
    counts = f"{len(plan.written)} folders {verb}, {len(plan.unchanged)} unchanged: {output}"
    return f"{table(rows, {'name': 'layer', 'kind': 'kind', 'folder': 'folder'})}\n{counts}"
