"""Handing stacks to others: `publish`, `export`, `pack`, `unpack`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from vstore.cli.settings import Settings, command, table
from vstore.objects import Kind
from vstore.publish import (
    ExportOptions,
    ExportPlan,
    Links,
    Member,
    Placed,
    export,
    matching,
    members_of_spec,
    members_of_stack,
    plan_export,
)
from vstore.publish.what import find
from vstore.realise.model import Realised, Request
from vstore.realise.realise import realise
from vstore.realise.remembered import remembered
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
        click.option("--index/--no-index", default=True, help="Whether to ask the package index when locking."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _realised(settings: Settings, store: Store, request: Request) -> tuple[Member, ...]:
    """The spec's layers, made present without making a generation; what a dry run knows of them."""
    report, now = settings.report, datetime.now(UTC)
    result: Realised | None = None
    if not request.include:
        known = Request(
            spec=request.spec, generation=False, local_wheels=request.local_wheels, environment=request.environment
        )
        result = remembered(store, known, report=report, now=now)
    if result is None:
        result = realise(store, request, uv=settings.uv(store, offline=request.offline), report=report, now=now)
    spec, target = load(request.spec), Target.host()
    placed = [Placed(layer.name, layer.kind, layer.path) for layer in result.layers]
    if not request.include:
        placed.append(Placed(f"{spec.profile}-stack", Kind.STACK, result.stack))
    return members_of_spec(spec, target, placed)


def _request(spec: Path, jobs: int | None, **options: Any) -> Request:
    names = ("include", "dry_run", "locked", "offline", "local_wheels", "index")
    wanted = {name: options[name] for name in names}
    return Request(
        spec=spec, jobs=jobs or os.cpu_count() or 1, generation=False, environment=dict(os.environ), **wanted
    )


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
