"""`vstore realise`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.options import selection_options, wheel_options
from vstore.cli.paths import PLACE
from vstore.cli.settings import Settings
from vstore.cli.text import size, table
from vstore.errors import UsageError

if TYPE_CHECKING:
    from vstore.api.realising import Realised, RealisedLayer, Request
    from vstore.api.specs import Target
    from vstore.api.stores import Store
    from vstore.cli.spec_view import Showing

SPEC = click.Path(path_type=Path, dir_okay=False)


@command("realise")
@click.argument("spec", type=SPEC)
@click.option("--profile", metavar="NAME", help="The profile to switch (default: the spec's).")
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="TARGET",
    help="For this platform instead of this machine's, or `all` that the spec names; may be repeated.",
)
@click.option("--locked", is_flag=True, help="Fail when the lock is missing or stale.")
@click.option("--offline", is_flag=True, help="Use no network.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")
@click.option("--check", is_flag=True, help="Build again aside and compare.")
@click.option("-j", "--jobs", type=click.IntRange(1), help="Processes and layers at a time (default: the cores).")
@click.option("--keep-going", is_flag=True, help="Build what can be built after a failure.")
@click.option("--keep-failed", is_flag=True, help="Leave the folder of a failed build.")
@click.option("--out-link", type=PLACE, help="Also make a link here that keeps the stack alive.")
@click.option("--cache", "caches", multiple=True, metavar="CACHE", help="Ask this cache before the configured ones.")
@selection_options
@wheel_options
def realise_command(
    settings: Settings,
    spec: Path,
    out_link: Path | None,
    jobs: int | None,
    platforms: tuple[str, ...],
    **options: object,
) -> None:
    """The spec is locked first if its lock is missing or stale. With --include only the matching layers and what they
    need are made, and no generation.
    """
    from dataclasses import replace

    from vstore.api.realising import Request, realise
    from vstore.api.stores import StoreLayout, check_out_link, keep
    from vstore.cli.targets import each_target, parse_targets

    started = time.monotonic()
    request = Request(spec=spec, jobs=jobs or os.cpu_count() or 1, environment=dict(os.environ), **options)  # type: ignore[arg-type]
    targets = parse_targets(platforms, spec, request.allow_outside)
    if len(targets) > 1 and (out_link is not None or request.profile is not None):
        raise UsageError("--profile and --out-link are for one platform at a time")
    if out_link is not None:
        check_out_link(StoreLayout(settings.location()), out_link, trial=not request.dry_run)
    with settings.open_store() as store:
        reporter = settings.reporter
        each = each_target(platforms, spec, request.allow_outside) if len(targets) > 1 else targets
        results = [realise(store, replace(request, target=target), reporter=reporter) for target in each]
        result = results[0]
        if out_link is not None and result.stack is not None:
            keep(store, result.stack, out_link)
        seconds = time.monotonic() - started
        shown = [_shown(store, request, one, seconds) for one in results]
        documents = [document for document, _ in shown]
        settings.emit(documents[0] if len(targets) == 1 else documents, lambda: "\n\n".join(text for _, text in shown))


def _shown(store: Store, request: Request, result: Realised, seconds: float) -> tuple[dict[str, object], str]:
    """As JSON and as text; a dry run also shows its plan, as `show` does."""
    document, text = _document(result), _summary(store, result, seconds)
    if not result.dry_run:
        return document, text
    plan = _plan(request, result.target)
    return {**document, **plan.document(), "layers": document["layers"]}, f"{plan.text()}\n{text}"


def _plan(request: Request, target: Target) -> Showing:
    from vstore.api.locks import Project, select_layers, selection_request
    from vstore.cli.spec_view import Showing

    project = Project.load(request.spec, environment=request.environment, allow_outside=request.allow_outside)
    return Showing(project, select_layers(project.spec, selection_request(request), target))


def _document(result: Realised) -> dict[str, object]:
    document: dict[str, object] = {
        "profile": result.profile,
        "target": str(result.target),
        "generation": result.generation,
        "changed": result.changed,
        "stack": str(result.stack) if result.stack else None,
        "layers": [_row(layer) for layer in result.layers],
        "moved_bytes": result.moved_bytes,
    }
    if result.dry_run:
        document["dry_run"] = True
    return document


def _row(layer: RealisedLayer) -> dict[str, object]:
    return {
        "name": layer.name,
        "kind": str(layer.kind),
        "path": str(layer.path) if layer.path else None,
        "origin": str(layer.origin),
        "seconds": round(layer.seconds, 3),
        **({"clashes": [clash.as_json() for clash in layer.clashes]} if layer.clashes else {}),
    }


def _summary(store: Store, result: Realised, seconds: float) -> str:
    from vstore.api.realising import describe_clashes

    rows: Sequence[dict[str, object]] = [
        {**_row(layer), "path": layer.path or "-", "seconds": f"{layer.seconds:.1f}"} for layer in result.layers
    ]
    text = table(rows, {"name": "layer", "kind": "kind", "origin": "origin", "seconds": "seconds", "path": "path"})
    clashes = [f"clash: {line}" for layer in result.layers for line in describe_clashes(layer.clashes)]
    text = "\n".join((text, *clashes))
    if result.dry_run:
        moved = f"; {size(result.moved_bytes)} would be fetched from caches" if result.moved_bytes else ""
        return f"{text}\ndry run: nothing was changed{moved}"
    if result.generation is None:
        return f"{text}\n{len(rows)} layers present in {seconds:.2f} s; no generation was made"
    state = "is now" if result.changed else "is still"
    link = store.layout.profiles / str(result.profile)
    return f"{text}\nprofile {result.profile} {state} generation {result.generation} ({seconds:.2f} s): {link}"
