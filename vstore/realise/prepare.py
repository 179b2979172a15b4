"""The steps before and after the work on nodes: from a request to its plan, and from objects to its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vstore.build.recipe import Recipe
from vstore.lock import Project
from vstore.objects import Kind, StorePath
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.execute.sources import ModuleSources
from vstore.realise.locking import Locks, ensure_locked, select
from vstore.realise.model import Origin, Realised, RealisedLayer, Request
from vstore.realise.noop import activate, inputs_key, profile_name, warn_of_other_spec
from vstore.realise.plan.graph import Plan, plan_layers
from vstore.realise.session import Session
from vstore.spec import Layer
from vstore.spec.select import Selection
from vstore.values import frozen


@frozen(slots=False)
class PreparedRequest:
    """A request whose spec is locked, with its plan. The session has the settings of the spec."""

    session: Session
    project: Project
    request: Request
    selection: Selection
    interpreters: Interpreters
    sources: ModuleSources
    locks: Locks
    plan: Plan

    @property
    def profile(self) -> str:
        """The profile whose generation the stack becomes."""
        return profile_name(self.project.spec, self.request)

    @property
    def nodes(self) -> dict[StorePath, Recipe]:
        """The nodes to realise: those of the plan, without the stack if this is not all of it."""
        is_whole = self.request.is_whole
        return {key: node for key, node in self.plan.nodes.items() if is_whole or node.kind != Kind.STACK}

    @property
    def lock_names(self) -> dict[str, str]:
        """The name and the digest of the lock of each layer, for the statements of builds."""
        return {name: f"{one.path.name} {one.packages_digest}" for name, one in self.locks.locked.items()}


def prepare(session: Session, project: Project, request: Request) -> PreparedRequest:
    """Lock a project where needed, and plan it. Raises SpecError, LockError, ToolError or BuildError."""
    spec = project.spec
    session = session.with_settings_of(spec)
    selection = select(session, spec, request)
    if request.generation and not (request.include or request.check):
        warn_of_other_spec(session.store, spec, request, reporter=session.reporter)
    interpreters = Interpreters(session, dry_run=request.dry_run)
    sources = ModuleSources(session.store, spec)
    locks = ensure_locked(session, project, selection, request, interpreters)
    return PreparedRequest(
        session=session,
        project=project,
        request=request,
        selection=selection,
        interpreters=interpreters,
        sources=sources,
        locks=locks,
        plan=plan_layers(spec, selection.built, request.platform, locks, sources.path),
    )


def finish(prepared: PreparedRequest, done: Mapping[StorePath, RealisedLayer], *, fetched_bytes: int = 0) -> Realised:
    """Return the result of a request. Its stack, if it is in the store, becomes the generation of its profile."""
    request, spec, plan, store = prepared.request, prepared.project.spec, prepared.plan, prepared.session.store
    stack = done.get(plan.stack) if plan.stack else None
    realised = Realised(
        profile=prepared.profile,
        target=request.platform,
        layers=_layers(prepared.selection.built, plan, prepared.locks, done),
        stack=stack.path if stack else None,
        dry_run=request.dry_run,
        fetched_bytes=fetched_bytes,
    )
    if realised.stack is None or not store.is_valid(realised.stack):
        return realised
    store.realisations.cache_stack(inputs_key(spec, request.platform, request), realised.stack)
    if not request.generation:
        return realised
    return activate(store, spec, realised, reporter=prepared.session.reporter)


def _layers(
    layers: Sequence[Layer], plan: Plan, locks: Locks, done: Mapping[StorePath, RealisedLayer]
) -> tuple[RealisedLayer, ...]:
    """Return the interpreters, once each, and the layers. In a dry run some layers have no node."""
    rows = [done[key] for key in dict.fromkeys(plan.interpreters[layer.runtime.name] for layer in layers)]
    for layer in layers:
        key = plan.layers.get(layer.env_name)
        origin = Origin.TO_LOCK if layer.env_name in locks.stale else Origin.TO_BUILD
        planned = RealisedLayer(name=layer.env_name, kind=layer.kind, path=None, origin=origin, seconds=0.0)
        rows.append(planned if key is None else done[key])
    return tuple(rows)
