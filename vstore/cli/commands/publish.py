"""Handing stacks to others: `publish` and `export`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vstore.api.publishing import Compression, LinkMode
from vstore.cli.command import command
from vstore.cli.options import selection_options, wheel_options
from vstore.cli.paths import FOLDER
from vstore.cli.settings import Settings
from vstore.cli.text import size, table
from vstore.errors import UsageError

if TYPE_CHECKING:
    from vstore.api.publishing import Output, OutputPlan
    from vstore.api.realising import Request
    from vstore.api.specs import Target
    from vstore.api.stores import Store

PLATFORM = "For this platform instead of this machine's, or `all`"


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `publish` and `export` have in common."""
    options = [
        click.option("--output-dir", "output", type=FOLDER, required=True, metavar="DIR", help="Where the results go."),
        click.option("--dry-run", is_flag=True, help="Say what would be written, and stop."),
        click.option("--force", is_flag=True, help="Write again what is there already."),
        click.option("--locked", is_flag=True, help="Fail when the lock is missing or stale."),
        click.option("--offline", is_flag=True, help="Use no network."),
        click.option("-j", "--jobs", type=click.IntRange(1), help="At a time (default: the cores)."),
        click.option("--cache", "caches", multiple=True, metavar="CACHE", help="Ask this cache before the configured."),
    ]
    function = selection_options(wheel_options(function))
    for option in reversed(options):
        function = option(function)
    return function


def _request(spec: Path, target: Target, jobs: int | None, **options: Any) -> Request:
    from vstore.api.realising import Request

    environment = dict(os.environ)
    return Request(
        spec=spec, target=target, jobs=jobs or os.cpu_count() or 1, generation=False, environment=environment, **options
    )


@command("publish")
@click.argument("spec", type=click.Path(path_type=Path, dir_okay=False))
@_options
@click.option("--platform", "platforms", multiple=True, metavar="TARGET", help=f"{PLATFORM}; may be repeated.")
@click.option("--tag-outputs", is_flag=True, help="Put the platform and the build number into the names.")
@click.option(
    "--format",
    "compression",
    type=click.Choice([one.value for one in Compression]),
    default="zst",
    help="Compression (default: zst).",
)
@click.option("--level", type=click.IntRange(1, 22), help="How hard to compress.")
@click.option("--best", is_flag=True, help="Smallest archives, for a much longer time.")
@click.option("--no-bytecode", is_flag=True, help="Leave compiled files out: Python compiles at each start instead.")
def publish_command(
    settings: Settings,
    spec: Path,
    output: Path,
    tag_outputs: bool,
    compression: str,
    level: int | None,
    best: bool,
    no_bytecode: bool,
    force: bool,
    platforms: tuple[str, ...],
    **options: Any,
) -> None:
    """The spec is realised first, without a new generation. The archives run where they are unpacked side by side, and
    have metadata. Archives that exist and are unchanged are kept.
    """
    from vstore.api.publishing import ArchiveOptions, ArchiveOutput, write_spec
    from vstore.cli.targets import each_target, parse_targets

    chosen = ArchiveOptions(
        compression=Compression(compression),
        level=_level(Compression(compression), level, best),
        tag_outputs=tag_outputs,
        force=force,
        bytecode=not no_bytecode,
    )
    targets = parse_targets(platforms, spec, options["allow_outside"])
    if len(targets) > 1 and not tag_outputs:
        raise UsageError("several platforms in one folder need --tag-outputs")
    with settings.open_store() as store:
        plans = [
            write_spec(
                store,
                _request(spec, target, **options),
                ArchiveOutput(store=store, folder=output, target=str(target), options=chosen),
                reporter=settings.reporter,
            )
            for target in (each_target(platforms, spec, options["allow_outside"]) if len(targets) > 1 else targets)
        ]
    documents = [_archives_document(plan, output, options["dry_run"]) for plan in plans]
    settings.emit(
        documents[0] if len(targets) == 1 else documents,
        lambda: "\n\n".join(_archives_text(plan, output, options["dry_run"]) for plan in plans),
    )


def _level(compression: Compression, level: int | None, best: bool) -> int | None:
    if best and level is not None:
        raise UsageError("--best and --level exclude each other")
    if level is not None and level > 9 and compression is not Compression.ZST:
        raise UsageError(f"--level {level}: {compression} has levels 1 to 9")
    return compression.best_level if best else level


def plan_document(plan: OutputPlan, dry_run: bool) -> dict[str, object]:
    """Return the part of the JSON document that all outputs share."""
    document = {
        **(plan.manifest or {}),
        "written": [item.name for item in plan.written],
        "unchanged": [item.name for item in plan.unchanged],
    }
    return {**document, "dry_run": True} if dry_run else document


def _archives_document(plan: OutputPlan, output: Path, dry_run: bool) -> dict[str, object]:
    from vstore.api.publishing import outdated_layers

    outdated = outdated_layers(plan.manifest) if plan.manifest else []
    return {**plan_document(plan, dry_run), "output_dir": str(output), "outdated": outdated}


def _archives_text(plan: OutputPlan, output: Path, dry_run: bool) -> str:
    verb = "would be packed" if dry_run else "packed"
    rows = []
    for item in plan.items:
        length = item.record.get("archive_size") if item.record else None
        rows.append(
            {
                "archive": item.name,
                "kind": str(item.kind),
                "size": "?" if length is None else size(length),
                "state": "unchanged" if item.unchanged else verb,
            }
        )
    columns = {"archive": "archive", "kind": "kind", "size": "size", "state": "state"}
    return f"{table(rows, columns)}\nmetadata in {output / '__venvstacks__'}"


@command("export")
@click.argument("what", metavar="SPEC|PROFILE")
@_options
@click.option("--platform", "platforms", multiple=True, metavar="TARGET", help=f"{PLATFORM}.")
@click.option(
    "--links",
    type=click.Choice([mode.value for mode in LinkMode]),
    default="auto",
    help="Whether to use symlinks (default: if possible).",
)
@click.option("--hardlink", is_flag=True, help="Let files be the store's own: no copies, and none may be edited.")
def export_command(
    settings: Settings,
    what: str,
    output: Path,
    links: str,
    hardlink: bool,
    force: bool,
    platforms: tuple[str, ...],
    **options: Any,
) -> None:
    """The folders work on systems without a store. A SPEC is realised first. A profile (its current generation),
    PROFILE@N or the store path of a stack is exported as it is.
    """
    from vstore.api.publishing import FolderOptions, FolderOutput

    dry_run = bool(options["dry_run"])
    with settings.open_store() as store:
        chosen = FolderOptions(links=LinkMode(links), hardlink=hardlink, force=force)
        result = FolderOutput(store=store, folder=output, options=chosen)
        plan = write_stack(settings, store, what, result, platforms, options)
    settings.emit(_folders_document(plan, output, dry_run), lambda: _folders_text(plan, output, dry_run))


def write_stack(
    settings: Settings, store: Store, what: str, output: Output, platforms: tuple[str, ...], options: dict[str, Any]
) -> OutputPlan:
    """Write a spec, or a stack that is in the store; in a dry run return the plan only."""
    from vstore.api.publishing import members_of_stack, resolve_selector, write_spec
    from vstore.cli.targets import parse_targets

    if Path(what).is_file() or what.endswith(".toml"):
        targets = parse_targets(platforms, Path(what), options["allow_outside"])
        if len(targets) != 1:
            raise UsageError("one platform goes into one folder")
        return write_spec(store, _request(Path(what), targets[0], **options), output, reporter=settings.reporter)
    if platforms:
        raise UsageError("--platform goes with a spec; what is in the store is for one platform already")
    stack = members_of_stack(store, resolve_selector(store, what))
    stack = stack.matching(options["include"], allow_missing=options["allow_missing"])
    if options["dry_run"]:
        return output.plan(stack)
    return output.write(stack, jobs=options["jobs"] or os.cpu_count() or 1, reporter=settings.reporter)


def _folders_document(plan: OutputPlan, output: Path, dry_run: bool) -> dict[str, object]:
    links = next((item.record["vstore"]["links"] for item in plan.items if item.record), None)
    return {**plan_document(plan, dry_run), "output_dir": str(output), "links": links}


def _folders_text(plan: OutputPlan, output: Path, dry_run: bool) -> str:
    rows = [
        {"name": item.label, "kind": str(item.kind), "folder": item.record["install_target"] or "?"}
        for item in plan.items
        if item.record
    ]
    verb = "would be written" if dry_run else "written"
    counts = f"{len(plan.written)} folders {verb}, {len(plan.unchanged)} there already: {output}"
    return f"{table(rows, {'name': 'layer', 'kind': 'kind', 'folder': 'folder'})}\n{counts}"
