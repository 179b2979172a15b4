"""Repairing damaged objects: in place if that is enough, else from a cache, else by building them again.

An object is built from the recipe in its manifest, or from the spec of a generation if its inputs are unchanged.

Damaged objects are distrusted: this process treats them as missing. So the normal fetch and build paths replace them,
dependencies first, and link no files from them. `Store.add` exchanges the new object with the damaged one. A build that
gives other bytes is discarded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from vstore.errors import VstoreError
from vstore.graph import bottom_up
from vstore.lock import Project
from vstore.objects import StorePath
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.execute.nodes import NodeRealiser
from vstore.realise.execute.object_builder import ObjectBuilder
from vstore.realise.execute.sources import require_inputs
from vstore.realise.model import Request
from vstore.realise.noop import inputs_key
from vstore.realise.plan.document import recorded_recipe
from vstore.realise.realise import realise
from vstore.realise.session import Session
from vstore.remote import refetch
from vstore.spec import Spec, load
from vstore.store import Generation, Store
from vstore.store.health.verify import Problem, repair_in_place, repair_links, verify
from vstore.target import Target


def repair(session: Session, problems: list[Problem]) -> list[Problem]:
    """Repair the problems that `verify` found. Return those that remain, found by verifying the objects again."""
    store, reporter, uv = session.store, session.reporter, session.uv
    damaged = {problem.path for problem in problems if problem.profile is None}
    store.distrusted.update(damaged)
    for path in sorted(damaged):
        reporter.progress("repair", f"checking {path.name}")
        repair_in_place(store, path)
    if store.distrusted and not uv.offline:
        refetch(store, reporter=reporter)
    if store.distrusted:
        _rebuild(session)
    request = Request(spec=Path(), locked=True, keep_going=True, generation=False, environment=uv.environment)
    for row, spec, target in _unchanged_generations(store, request):
        try:
            realise(session, Project(spec), replace(request, spec=spec.path, target=target))
        except VstoreError as error:
            reporter.warn(f"generation {row.number} of {row.profile} cannot be rebuilt: {error.message}", error.hint)
    repair_links(store, problems)
    only = {problem.path for problem in problems}
    return verify(store, contents=True, only=only, jobs=session.jobs, reporter=reporter)[1]


def _rebuild(session: Session) -> None:
    """Rebuild damaged objects from the recipes in their manifests, dependencies first, as far as possible."""
    store = session.store
    infos = [info for path in store.distrusted if (info := store.objects.info(path)) is not None]
    builder = ObjectBuilder(session, Interpreters(session), import_sources=lambda recipe: require_inputs(store, recipe))
    with closing(builder):
        realiser = NodeRealiser(session, builder)
        recipes = {info.path: info.recipe for info in infos}
        for path in bottom_up({info.path: info.references for info in infos}):
            try:
                recipe = recorded_recipe(store.manifest(path)[1])
                if recipe.digest == recipes[path]:
                    realiser.realise(recipe, {below: below for below in recipe.all_dependencies})
            except VstoreError as error:
                session.reporter.note(f"{path.name} cannot be rebuilt from its recipe: {error.message}")


def _unchanged_generations(store: Store, request: Request) -> Iterator[tuple[Generation, Spec, Target]]:
    """Return the generations with damaged objects whose spec, locks and modules are unchanged, the newest first."""
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
                yield row, spec, target


def _needed(store: Store, stack: StorePath) -> set[StorePath]:
    """Return the closure of a stack, and the inputs of its objects."""
    infos = store.objects.closure_infos([stack])
    return infos.keys() | {path for info in infos.values() for path in info.inputs}
