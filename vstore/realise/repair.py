"""Putting damaged objects right: in place where that is enough, else from a cache, else by building them again.

An object is built from the recipe in its manifest, or from the spec of a generation if that is as it was.

Damaged objects are distrusted: for this process they are not there. So what brings an object or builds one brings or
builds these, the lowest first, lends from none of them, and `Store.add` exchanges the result with what was damaged.
A build that does not give the same bytes again is not taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from vstore.errors import VstoreError
from vstore.graph import bottom_up
from vstore.objects import StorePath
from vstore.realise.document import recorded_recipe
from vstore.realise.interpreters import Interpreters
from vstore.realise.layers import Realiser
from vstore.realise.make import Maker
from vstore.realise.model import Request
from vstore.realise.noop import inputs_key
from vstore.realise.realise import realise
from vstore.realise.session import Session
from vstore.realise.sources import require
from vstore.remote import refetch
from vstore.spec import load
from vstore.store import Generation, Store
from vstore.store.health.verify import Problem, repair_in_place, repair_links, verify
from vstore.target import Target


def repair(session: Session, problems: list[Problem]) -> list[Problem]:
    """Repair what `verify` found wrong; returns what is wrong still, found by looking again."""
    store, reporter, uv = session.store, session.reporter, session.uv
    damaged = {problem.path for problem in problems if problem.profile is None}
    store.distrusted.update(damaged)
    for path in sorted(damaged):
        reporter.progress("repair", f"looking at {path.name}")
        repair_in_place(store, path)
    if store.distrusted and not uv.offline:
        refetch(store, reporter=reporter)
    if store.distrusted:
        _make_again(session)
    request = Request(
        spec=Path(),
        locked=True,
        offline=uv.offline,
        jobs=session.jobs,
        generation=False,
        environment=uv.environment,
    )
    for row, found in _sources(store, request):
        try:
            realise(session, found)
        except VstoreError as error:
            reporter.warn(f"generation {row.number} of {row.profile} cannot be made again: {error.message}", error.hint)
    repair_links(store, problems)
    only = {problem.path for problem in problems}
    return verify(store, contents=True, only=only, jobs=session.jobs, reporter=reporter)[1]


def _make_again(session: Session) -> None:
    """Make damaged objects again from the recipes in their manifests, the lowest first, as far as that is possible."""
    store, offline = session.store, session.uv.offline
    infos = [info for path in store.distrusted if (info := store.objects.info(path)) is not None]
    interpreters = Interpreters(session, offline=offline)
    with closing(Maker(session, interpreters, import_sources=lambda recipe: require(store, recipe))) as maker:
        realiser = Realiser(session, maker)
        recipes = {info.path: info.recipe for info in infos}
        for path in bottom_up({info.path: info.references for info in infos}):
            try:
                recipe = recorded_recipe(store.manifest(path)[1])
                if recipe.digest == recipes[path]:
                    realiser.realise(recipe, {below: below for below in recipe.all_dependencies})
            except VstoreError as error:
                session.reporter.note(f"{path.name} is not made again from its recipe: {error.message}")


def _sources(store: Store, request: Request) -> Iterator[tuple[Generation, Request]]:
    """The generations with damaged objects whose inputs, as they lie there now, give the same stack; newest first."""
    rows = [row for profile in store.generations.profiles() for row in store.generations.of(profile)]
    for row in sorted(rows, key=lambda row: row.created_at, reverse=True):
        if row.spec_path is None or not _needed(store, row.path) & store.distrusted:
            continue
        try:
            spec = load(Path(row.spec_path), environment=request.environment)
            keys = {target: inputs_key(spec, target, request) for target in Target}
        except (VstoreError, OSError):
            continue
        for target, key in keys.items():
            if store.realisations.cached_stack(key) == row.path:
                yield row, replace(request, spec=spec.path, target=target)


def _needed(store: Store, stack: StorePath) -> set[StorePath]:
    """The closure of a stack and the inputs of its objects."""
    closure = store.objects.closure([stack])
    return closure | {one for path in closure if (info := store.objects.info(path)) for one in info.inputs}
