"""The one verb: make a spec's stack present, and switch to it.

For each layer, lowest first: present in the store, else substituted from a cache, else built. Equal recipes are
the same work, so a recipe that the store knows is nothing to do, and a lower layer rebuilt with equal bytes rebuilds
nothing above.
The two columns, spec → lock → build and fs → store → profile, meet in this folder and nowhere else.
"""

from __future__ import annotations

from datetime import datetime

from vstore.build.launchers import link_application
from vstore.errors import UsageError
from vstore.fs.links import make_link
from vstore.objects import STACK_FILE, Kind, StorePath
from vstore.profile import Stack, StackLayer
from vstore.realise.layers import Realiser
from vstore.realise.model import NOBODY, Realised, RealisedLayer, Request, Substitutes
from vstore.realise.prepare import prepare, wish_of
from vstore.realise.remembered import inputs_key, profile_name, settle
from vstore.report import Report
from vstore.spec import Layer, Spec, load
from vstore.spec.select import Selection, select
from vstore.stop import Stop
from vstore.store import Store
from vstore.target import Target
from vstore.uv import Uv


def realise(
    store: Store,
    request: Request,
    *,
    uv: Uv,
    report: Report,
    now: datetime,
    substitutes: Substitutes = NOBODY,
    stop: Stop | None = None,
) -> Realised:
    """Make the spec's stack present and its profile's current generation; ask `remembered` first.

    The first layer that fails sets `stop`, unless asked to keep going. Raises SpecError, LockError, BuildError,
    ToolError or StoreError; the store is intact after any of them.
    """
    spec = load(request.spec, environment=request.environment)
    for warning in spec.warnings:
        report.warn(warning)
    uv = uv.reaching(spec.uv, spec.path.parent)
    target = request.platform
    selection = select(spec, wish_of(request), target)
    wanted = _wanted(spec, selection, target, report)
    prepared = prepare(store, spec, request, selection, target=target, uv=uv, report=report, substitutes=substitutes)
    layers = Realiser(
        store,
        spec,
        prepared,
        target=target,
        request=request,
        uv=uv,
        report=report,
        substitutes=substitutes,
        stop=stop or Stop(),
    ).run(wanted)
    if request.include or request.check or request.dry_run:
        return Realised(
            profile=profile_name(spec, request),
            target=target,
            generation=None,
            changed=False,
            stack=None,
            layers=layers,
            dry_run=request.dry_run,
        )
    stack = _add_stack(store, spec, target, layers)
    store.index.remember(inputs_key(spec, target, request), stack)
    return settle(store, spec, request, stack, layers, report=report, now=now)


def _wanted(spec: Spec, selection: Selection, target: Target, report: Report) -> tuple[Layer, ...]:
    """The layers to realise with all that they sit on, in file order."""
    for pattern in selection.unmatched:
        report.warn(f"--include {pattern}: no such layer")
    wanted = tuple(layer for layer in spec.layers if selection.builds(layer))
    if not wanted and not selection.unmatched:
        which = "selected " if selection.operations else ""
        raise UsageError(f"{spec.path.name}: no {which}layer is for {target}", hint="see `platforms` in the spec")
    return wanted


def _add_stack(store: Store, spec: Spec, target: Target, layers: tuple[RealisedLayer, ...]) -> StorePath:
    """The small object that a generation is: a link per layer, a link per application, and `stack.json`."""
    placed = tuple(StackLayer(name=one.name, kind=one.kind, path=one.path) for one in layers if one.path is not None)
    stack = Stack(name=spec.profile, target=str(target), layers=placed)
    with store.staging(f"{spec.profile}-stack") as staging:
        (staging / "layers").mkdir()
        (staging / "bin").mkdir()
        for layer in layers:
            if layer.kind != Kind.INTERPRETER:  # which the runtime refers to; its name could be a layer's too
                make_link(staging / "layers" / layer.name, f"../../{layer.path}", folder=True)
            if layer.kind == Kind.APPLICATION:
                assert layer.path is not None
                link_application(staging / "bin", layer.name, layer.path, store.layout.object(layer.path), target)
        (staging / STACK_FILE).write_bytes(stack.encode())
        return store.add(staging, name=f"{spec.profile}-stack", kind=Kind.STACK).path
