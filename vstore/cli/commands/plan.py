"""`vstore plan` and `vstore build`: the graph of nodes for other build engines, and one node of it."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from vstore.cli.command import command
from vstore.cli.options import cache_option, jobs_option, offline_option, platform_option
from vstore.cli.paths import FILE_OR_FOLDER
from vstore.cli.settings import Settings
from vstore.cli.targets import parse_targets
from vstore.cli.text import table
from vstore.errors import UsageError
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.api.plans import Planned
    from vstore.api.stores import StorePath
    from vstore.cli.documents.specs import PlanDocument


@command("plan")
@click.argument("specs", metavar="[SPEC]…", nargs=-1, type=FILE_OR_FOLDER)
@platform_option
@cache_option
@offline_option
def plan_command(
    settings: Settings, specs: tuple[Path, ...], platforms: tuple[str, ...], caches: tuple[str, ...], offline: bool
) -> None:
    """Dependencies come first; objects that the store or a cache has are omitted. With --json each node has its whole
    recipe, which `vstore build` takes here or on another machine. Nothing is locked or built, but the modules of layers
    that would be built are added to the store.
    """
    from vstore.api.plans import plan
    from vstore.api.realising import Request

    request = partial(Request, caches=caches, offline=offline, environment=dict(os.environ))
    found_specs = [settings.find_spec(spec) for spec in specs or (None,)]
    requests = [request(spec=spec, target=target) for spec in found_specs for target in parse_targets(platforms, spec)]
    with settings.open_store(create=True) as store:
        found = plan(store, requests, reporter=settings.reporter)
    settings.emit(_document(found), lambda: _text(found))


@command("build")
@click.argument("node", type=click.File("rb"))
@click.option(
    "--object", "objects", multiple=True, metavar="KEY=PATH", help="The store path of a dependency, by its node key."
)
@cache_option
@offline_option
@jobs_option
def build_command(
    settings: Settings,
    node: BinaryIO,
    objects: tuple[str, ...],
    caches: tuple[str, ...],
    offline: bool,
    jobs: int | None,
) -> None:
    """NODE is a JSON file, or `-` for standard input. The store path of the object is printed."""
    from vstore.api.plans import build, read_node
    from vstore.cli.commands.realise import built_document

    try:
        document = json.loads(node.read())
    except (ValueError, RecursionError) as error:
        if node.name.endswith(".toml"):
            hint = "`vstore realise` makes the layers of a spec, `vstore plan SPEC --json` prints nodes"
            raise UsageError(f"{node.name} is no node of a plan", hint=hint) from error
        raise UsageError(f"not a JSON document: {error}", hint="`vstore plan SPEC --json` prints nodes") from error
    parsed = read_node(document, dict(map(_pair, objects)))
    reporter = settings.reporter
    with settings.open_store(create=True) as store:
        done = build(store, parsed, caches=caches, offline=offline, jobs=jobs, reporter=reporter)
    settings.close()
    if settings.json:
        settings.print_json(built_document(done))
    else:  # also with --quiet: other programs read it
        sys.stdout.write(f"{done.path}\n")


def _pair(text: str) -> tuple[StorePath, StorePath]:
    from vstore.api.stores import StorePath

    key, _, path = text.partition("=")
    try:
        return StorePath.parse(key), StorePath.parse(path)
    except ValueError as error:
        raise UsageError(f"--object {text}: {error}", hint="write KEY=PATH, as `vstore plan --json` has them") from None


def _document(found: Planned) -> PlanDocument:
    from vstore.api.plans import node_document

    return {
        "format": 1,
        "stacks": [
            {"spec": one.spec, "target": one.target, "profile": one.profile, "node": str(one.node)}
            for one in found.stacks
        ],
        "nodes": [
            {
                **node_document(one.node, one.objects),  # type: ignore[typeddict-item]
                "dependencies": [str(key) for key in one.dependencies],
                "object": str(one.object) if one.object else None,
                "cached": one.cached,
                "expected_seconds": one.expected.seconds if one.expected else None,
                "expected_bytes": one.expected.size_bytes if one.expected else None,
            }
            for one in found.nodes
        ],
    }


def _text(found: Planned) -> str:
    rows = [
        {
            "name": one.node.name,
            "kind": str(one.node.kind),
            "target": one.node.target,
            "state": ("in a cache" if one.cached else "present") if one.object else "to build",
            "seconds": f"{one.expected.seconds:.1f}" if one.expected and not one.object else None,
            "size": size(one.expected.size_bytes) if one.expected and not one.object else None,
        }
        for one in found.nodes
    ]
    columns = {"name": "object", "kind": "kind", "target": "target", "state": "state"}
    return table(rows, {**columns, "seconds": "seconds", "size": "size"})
