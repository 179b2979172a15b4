"""Handing stacks to others: `publish` and `export`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from vstore.archive import Compression
from vstore.cli.settings import Settings, command, size, table
from vstore.errors import UsageError
from vstore.objects import Kind
from vstore.publish import (
    ExportOptions,
    ExportPlan,
    Links,
    Member,
    Placed,
    Published,
    PublishOptions,
    export,
    find,
    matching,
    members_of_spec,
    members_of_stack,
    plan_export,
    plan_publish,
    publish,
)
from vstore.realise.model import Realised, Request
from vstore.realise.realise import realise
from vstore.realise.remembered import remembered
from vstore.remote import substitution
from vstore.spec import Target, load
from vstore.store import Store

FOLDER = click.Path(path_type=Path, file_okay=False)


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `publish` and `export` have in common."""
    options = [
        click.option("--output-dir", type=FOLDER, required=True, metavar="DIR", help="Where the results go."),
        click.option("--include", multiple=True, metavar="GLOB", help="Only these layers and what they need."),
        click.option("--dry-run", is_flag=True, help="Say what would be written, and stop."),
        click.option("--force", is_flag=True, help="Write again what is there already."),
        click.option("--locked", is_flag=True, help="Fail when the lock is missing or stale."),
        click.option("--offline", is_flag=True, help="Use no network."),
        click.option("-j", "--jobs", type=click.IntRange(1), help="At a time (default: the cores)."),
        click.option("--local-wheels", multiple=True, type=FOLDER, help="Wheel folders."),
        click.option("--cache", "caches", multiple=True, metavar="CACHE", help="Ask this cache before the configured."),
        click.option("--index/--no-index", default=True, help="Whether to ask the package index when locking."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _realised(settings: Settings, store: Store, request: Request) -> tuple[Member, ...]:
    """The spec's layers, made present; what a dry run knows of them."""
    report, now = settings.report, datetime.now(UTC)
    result: Realised | None = None
    if not request.include:
        known = Request(
            spec=request.spec, generation=False, local_wheels=request.local_wheels, environment=request.environment
        )
        result = remembered(store, known, report=report, now=now)
    if result is None:
        uv = settings.uv(store, offline=request.offline)
        with substitution(store, request.caches, offline=request.offline, report=report) as substitute:
            result = realise(store, request, uv=uv, report=report, now=now, substitute=substitute)
    spec, target = load(request.spec), Target.host()
    placed = [Placed(layer.name, layer.kind, layer.path) for layer in result.layers]
    if not request.include:
        placed.append(Placed(f"{spec.profile}-stack", Kind.STACK, result.stack))
    return members_of_spec(spec, target, placed)


def _request(spec: Path, jobs: int | None, **options: Any) -> Request:
    names = ("include", "dry_run", "locked", "offline", "local_wheels", "index", "caches")
    wanted = {name: options[name] for name in names}
    return Request(
        spec=spec, jobs=jobs or os.cpu_count() or 1, generation=False, environment=dict(os.environ), **wanted
    )


@command("publish")
@click.argument("spec", type=click.Path(path_type=Path, dir_okay=False))
@_options
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
def publish_command(
    settings: Settings,
    spec: Path,
    output_dir: Path,
    tag_outputs: bool,
    compression: str,
    level: int | None,
    best: bool,
    force: bool,
    **options: Any,
) -> None:
    """Write an archive for each layer of SPEC, with metadata. Unpacked side by side, they run.

    SPEC is realised first, without making a generation. Archives that are there and unchanged are kept.
    """
    chosen = PublishOptions(
        compression=Compression(compression),
        level=_level(Compression(compression), level, best),
        tag_outputs=tag_outputs,
        force=force,
        partial=bool(options["include"]),
    )
    request = _request(spec, **options)
    output, target = output_dir.expanduser().absolute(), str(Target.host())
    with settings.open_store() as store:
        try:
            members = _realised(settings, store, request)
            if options["dry_run"]:
                done = plan_publish(store, members, output, chosen, target=target)
            else:
                done = publish(store, members, output, chosen, target=target, jobs=request.jobs, report=settings.report)
        finally:
            settings.report.close()
    settings.emit(_published(done, output, options["dry_run"]), lambda: _publish_text(done, output, options["dry_run"]))


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
@click.option(
    "--links",
    type=click.Choice([link.value for link in Links]),
    default="auto",
    help="Whether to use symlinks (default: if possible).",
)
@click.option("--hardlink", is_flag=True, help="Let files be the store's own: no copies, and none may be edited.")
def export_command(
    settings: Settings, what: str, output_dir: Path, links: str, hardlink: bool, force: bool, **options: Any
) -> None:
    """Copy a stack's layers to plain folders for systems without a store.

    SPEC is realised first. A profile (its current generation), PROFILE@N or a stack's store path is exported as it is.
    """
    with settings.open_store() as store:
        if Path(what).is_file() or what.endswith(".toml"):
            members = _realised(settings, store, _request(Path(what), **options))
        else:
            members = members_of_stack(store, find(store, what))
        include: Sequence[str] = options["include"]
        chosen = ExportOptions(
            links=Links(links),
            hardlink=hardlink,
            force=force,
            only=matching(members, include) if include else None,
        )
        output = output_dir.expanduser().absolute()
        try:
            if options["dry_run"]:
                plan = plan_export(store, members, output, chosen)
            else:
                plan = export(store, members, output, chosen, report=settings.report)
        finally:
            settings.report.close()
        settings.emit(
            _exported(plan, output, options["dry_run"]), lambda: _export_text(plan, output, options["dry_run"])
        )


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
