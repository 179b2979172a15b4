"""`vstore realise`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.clusters import Place, cluster_document, place_options, realise_on_cluster, summary_text
from vstore.cli.command import command
from vstore.cli.options import platform_option, request_options, selection_options
from vstore.cli.paths import FILE_OR_FOLDER, PLACE
from vstore.cli.settings import Settings
from vstore.cli.targets import each_target, parse_targets
from vstore.cli.text import table
from vstore.errors import UsageError
from vstore.plural import count
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api.realising import Realised, RealisedLayer, Request
    from vstore.api.specs import Target
    from vstore.api.stores import Store
    from vstore.cli.documents.specs import BuiltDocument, RealisedLayerDocument, RealiseDocument, RealisePlanDocument
    from vstore.cli.documents.stores import ClashDocument
    from vstore.cli.spec_view import SpecView


@command("realise")
@click.argument("specs", metavar="[SPEC]…", nargs=-1, type=FILE_OR_FOLDER)
@request_options(
    click.option("--profile", metavar="NAME", help="The profile to switch (default: that of the spec)."),
    click.option("--check", is_flag=True, help="Build every layer again and compare: exit with 12 if one differs."),
    click.option("--keep-going", is_flag=True, help="After a failure, build the layers that do not need it."),
    click.option("--keep-failed", is_flag=True, help="Keep the folder of a failed build."),
    selection_options,
)
@platform_option
@click.option("--out-link", type=PLACE, help="Also make a link at this path; it keeps the stack alive.")
@place_options
def realise_command(
    settings: Settings,
    specs: tuple[Path, ...],
    make_request: Callable[..., Request],
    platforms: tuple[str, ...],
    out_link: Path | None,
    place: Place,
) -> None:
    """The spec is locked first if its lock is missing or stale. Several specs and platforms are realised by one plan,
    in which equal layers are built once. With --include, only the matching layers and their dependencies are built,
    and no generation is made.

    With --on SCHEDULER the specs are locked here and realised on its workers. The cache of --cache, which they share
    with this machine, gets every object.
    """
    from vstore.api.realising import realise_all
    from vstore.api.stores import StoreLayout, check_out_link, keep

    started = time.monotonic()
    asked = [make_request(spec=settings.find_spec(spec)) for spec in specs or (None,)]
    targets = [parse_targets(platforms, one.spec, one.allow_outside) for one in asked]
    is_single = sum(map(len, targets)) == 1
    if not is_single and (out_link is not None or asked[0].profile is not None):
        raise UsageError("--profile and --out-link are for one spec and one platform at a time")
    if out_link is not None:
        check_out_link(StoreLayout(settings.location()), out_link, trial=not asked[0].dry_run)
    requests: list[Request] = []
    with settings.open_store(create=True) as store:
        each = _each_request(asked, targets, platforms, requests)
        done = None
        if place.scheduler is not None:
            done = realise_on_cluster(settings, store, each, place.scheduler, place.options(store, asked[0].caches))
            results = list(done.stacks)
        else:
            results = realise_all(store, each, processes=place.processes, reporter=settings.reporter)
        if out_link is not None and results[0].stack is not None:
            keep(store, results[0].stack, out_link)
        seconds = time.monotonic() - started
        shown = [_shown(store, request, one, seconds) for request, one in zip(requests, results, strict=True)]
    documents, texts = [document for document, _ in shown], [text for _, text in shown]
    if done is not None:
        settings.emit(cluster_document(done, documents), lambda: "\n\n".join([*texts, summary_text(done)]))
    else:
        settings.emit(documents[0] if is_single else documents, lambda: "\n\n".join(texts))


def _each_request(
    asked: Sequence[Request], targets: Sequence[Sequence[Target]], platforms: Sequence[str], seen: list[Request]
) -> Iterator[Request]:
    """Yield a request for each spec and target, and append it to `seen`."""
    from vstore.values import replace

    for request, own in zip(asked, targets, strict=True):
        for target in each_target(own, platforms, request.spec, request.allow_outside):
            seen.append(replace(request, target=target))
            yield seen[-1]


def _shown(store: Store, request: Request, result: Realised, seconds: float) -> tuple[RealiseDocument, str]:
    """Return the document and the text. Those of a dry run also have the layers as `show` does."""
    document = _document(result)
    text = _summary(store, result, document["layers"], seconds)
    if not result.dry_run:
        return document, text
    view = _view(request, result.target)
    plan: RealisePlanDocument = {**document, **view.venvstacks_status(), "spec": str(view.spec.path)}
    return plan, f"{view.text()}\n{text}"


def _view(request: Request, target: Target) -> SpecView:
    from vstore.api.locks import Project, select_layers, selection_request
    from vstore.cli.spec_view import SpecView

    project = Project.load(request.spec, environment=request.environment, allow_outside=request.allow_outside)
    return SpecView(project, select_layers(project.spec, selection_request(request), target))


def _document(result: Realised) -> RealiseDocument:
    return {
        "profile": result.profile,
        "target": str(result.target),
        "generation": result.generation,
        "changed": result.changed,
        "stack": str(result.stack) if result.stack else None,
        "layers": [_layer(layer) for layer in result.layers],
        "fetched_bytes": result.fetched_bytes,
        "dry_run": result.dry_run,
    }


def _layer(layer: RealisedLayer) -> RealisedLayerDocument:
    return {**built_document(layer), "clashes": _clashes(layer) if layer.clashes else []}


def built_document(layer: RealisedLayer) -> BuiltDocument:
    """Return how an object became present."""
    return {
        "name": layer.name,
        "kind": str(layer.kind),
        "path": str(layer.path) if layer.path else None,
        "origin": str(layer.origin),
        "duration_seconds": round(layer.seconds, 3),
    }


def _clashes(layer: RealisedLayer) -> list[ClashDocument]:
    from vstore.cli.documents.stores import clash_document

    return [clash_document(one) for one in layer.clashes]


def _clash_lines(layer: RealisedLayer) -> list[str]:
    from vstore.api.layers import describe_clashes

    return [f"clash: {line}" for line in describe_clashes(layer.clashes)]


def _summary(store: Store, result: Realised, layers: list[RealisedLayerDocument], seconds: float) -> str:
    rows = [{**row, "seconds": f"{one.seconds:.1f}"} for row, one in zip(layers, result.layers, strict=True)]
    text = table(rows, {"name": "layer", "kind": "kind", "origin": "origin", "seconds": "seconds", "path": "path"})
    text = "\n".join((text, *(line for layer in result.layers if layer.clashes for line in _clash_lines(layer))))
    if result.dry_run:
        moved = f"; {size(result.fetched_bytes)} would be fetched from caches" if result.fetched_bytes else ""
        return f"{text}\ndry run: nothing was changed{moved}"
    if result.generation is None:
        return f"{text}\n{count(len(rows), 'layer')} realised in {seconds:.2f} s; no generation was made"
    state = "is now" if result.changed else "is still"
    link = store.layout.profiles / str(result.profile)
    return f"{text}\nprofile {result.profile} {state} generation {result.generation} ({seconds:.2f} s): {link}"
