"""Handing stacks to others: `publish` and `export`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from vstore.api.publishing import (
    Compression,
    ExportOptions,
    ExportPlan,
    Links,
    Published,
    PublishInput,
    PublishOptions,
    check_export,
    check_publish,
    export,
    find,
    matching,
    members_of_stack,
    plan_export,
    plan_publish,
    publish,
    realise_members,
)
from vstore.api.realising import Request
from vstore.api.specs import Target
from vstore.api.stores import Store
from vstore.cli.command import command
from vstore.cli.options import selection_options, wheel_options
from vstore.cli.paths import FOLDER
from vstore.cli.settings import Settings
from vstore.cli.targets import each_target, parse_targets
from vstore.cli.text import size, table
from vstore.errors import UsageError

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
    chosen = PublishOptions(
        compression=Compression(compression),
        level=_level(Compression(compression), level, best),
        tag_outputs=tag_outputs,
        force=force,
        bytecode=not no_bytecode,
        partial=bool(options["include"]),
    )
    targets = parse_targets(platforms, spec)
    if len(targets) > 1 and not tag_outputs:
        raise UsageError("several platforms in one folder need --tag-outputs")
    with settings.open_store() as store:
        each = each_target(platforms, spec) if len(targets) > 1 else targets
        done = [_publish(settings, store, _request(spec, target, **options), output, chosen) for target in each]
    documents = [_published(one, output, options["dry_run"]) for one in done]
    settings.emit(
        documents[0] if len(targets) == 1 else documents,
        lambda: "\n\n".join(_publish_text(one, output, options["dry_run"]) for one in done),
    )


def _publish(settings: Settings, store: Store, request: Request, output: Path, options: PublishOptions) -> Published:
    target = str(request.platform)
    handed = realise_members(
        store,
        request,
        reporter=settings.reporter,
        check=lambda names: check_publish(store, output, names, options, target=target),
    )
    if request.dry_run:
        return plan_publish(store, handed.members, output, options, target=target)
    return publish(store, handed.members, output, options, target=target, jobs=request.jobs, reporter=settings.reporter)


def _level(compression: Compression, level: int | None, best: bool) -> int | None:
    if best and level is not None:
        raise UsageError("--best and --level exclude each other")
    if level is not None and level > 9 and compression is not Compression.ZST:
        raise UsageError(f"--level {level}: {compression} has levels 1 to 9")
    return compression.best_level if best else level


def _published(done: Published, output: Path, dry_run: bool) -> dict[str, object]:
    document = {
        **done.document,
        "output_dir": str(output),
        "packed": [step.record["archive_name"] for step in done.steps if not step.keep],
        "kept": [step.record["archive_name"] for step in done.steps if step.keep],
        "outdated": list(done.outdated),
    }
    return {**document, "dry_run": True} if dry_run else document


def _publish_text(done: Published, output: Path, dry_run: bool) -> str:
    verb = "would be packed" if dry_run else "packed"
    rows = [
        {
            "archive": step.record["archive_name"],
            "kind": str(step.member.kind),
            "size": size(length) if isinstance(length := step.record.get("archive_size"), int) else "?",
            "state": "unchanged" if step.keep else verb,
        }
        for step in done.steps
    ]
    columns = {"archive": "archive", "kind": "kind", "size": "size", "state": "state"}
    return f"{table(rows, columns)}\nmetadata in {output / '__venvstacks__'}"


@command("export")
@click.argument("what", metavar="SPEC|PROFILE")
@_options
@click.option("--platform", "platforms", multiple=True, metavar="TARGET", help=f"{PLATFORM}.")
@click.option(
    "--links",
    type=click.Choice([link.value for link in Links]),
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
    dry_run = bool(options["dry_run"])
    with settings.open_store() as store:
        handed = _handed(settings, store, what, output, platforms, options)
        chosen = ExportOptions(links=Links(links), hardlink=hardlink, force=force, only=handed.only)
        if dry_run:
            plan = plan_export(store, handed.members, output, chosen)
        else:
            plan = export(store, handed.members, output, chosen, reporter=settings.reporter)
    settings.emit(_exported(plan, output, dry_run), lambda: _export_text(plan, output, dry_run))


def _handed(
    settings: Settings, store: Store, what: str, output: Path, platforms: tuple[str, ...], options: dict[str, Any]
) -> PublishInput:
    """What is to be exported, of a spec or of what is in the store."""
    if Path(what).is_file() or what.endswith(".toml"):
        targets = parse_targets(platforms, Path(what))
        if len(targets) != 1:
            raise UsageError("one platform goes into one folder")
        return realise_members(
            store,
            _request(Path(what), targets[0], **options),
            reporter=settings.reporter,
            check=lambda names: check_export(store, output, names),
        )
    if platforms:
        raise UsageError("--platform goes with a spec; what is in the store is for one platform already")
    members = members_of_stack(store, find(store, what))
    include: Sequence[str] = options["include"]
    only = matching(members, include, allow_missing=options["allow_missing"]) if include else None
    return PublishInput(members=members, only=only)


def _exported(plan: ExportPlan, output: Path, dry_run: bool) -> dict[str, object]:
    document: dict[str, object] = {
        **plan.document,
        "output_dir": str(output),
        "links": str(plan.links),
        "written": [step.folder for step in plan.write],
        "kept": [step.folder for step in plan.keep],
    }
    return {**document, "dry_run": True} if dry_run else document


def _export_text(plan: ExportPlan, output: Path, dry_run: bool) -> str:
    rows = [
        {"name": member.deployed, "kind": str(member.kind), "folder": record["install_target"]}
        for member, record in plan.named
    ]
    verb = "would be written" if dry_run else "written"
    counts = f"{len(plan.write)} folders {verb}, {len(plan.keep)} there already: {output}"
    return f"{table(rows, {'name': 'layer', 'kind': 'kind', 'folder': 'folder'})}\n{counts}"
