"""Ensuring that the selected layers are locked, and that the interpreter of each runtime is pinned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vstore.errors import LockError, UsageError
from vstore.fs.paths import quoted, typed
from vstore.lock import InterpreterPin, LockedLayer, LockOptions, Project, PythonForLocking
from vstore.lock.paths import check_places
from vstore.lock.resolution.resolve import lock
from vstore.lock.staleness import stale_reasons
from vstore.lock.upgrades import check_upgrades
from vstore.lock.wheels import check_covered, missing_wheels
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.model import Request
from vstore.realise.session import Session
from vstore.reporter import Reporter
from vstore.spec import Layer, Spec
from vstore.spec.select import Operation, Selection, SelectionRequest, select_layers
from vstore.target import Target
from vstore.values import frozen, replace


@frozen
class Locks:
    """The locks by env name, the interpreter pins by runtime, and in a dry run the reasons of stale locks."""

    locked: Mapping[str, LockedLayer]
    pins: Mapping[str, InterpreterPin]
    stale: Mapping[str, str] = {}


def selection_request(request: Request) -> SelectionRequest:
    """Return the selection of layers that a request asks for."""
    return SelectionRequest(
        include=request.include,
        allow_missing=request.allow_missing,
        dependencies=request.dependencies,
        dependents=request.dependents,
        lock=None if request.locked else Operation.LOCK_IF_NEEDED,
        build=True,
    )


def _platforms(spec: Spec) -> str:
    return ", ".join(target for target in Target if any(target in layer.targets for layer in spec.layers)) or "none"


def select(session: Session, spec: Spec, request: Request) -> Selection:
    """Select the layers of a request, and report the warnings of the spec. Raises UsageError if there are none."""
    for warning in spec.warnings:
        session.reporter.warn(warning)
    selection = select_layers(spec, selection_request(request), request.platform)
    for pattern in selection.unmatched:
        session.reporter.warn(f"--include {pattern}: no such layer")
    if not selection.built and not selection.unmatched:
        which = "selected " if selection.operations else ""
        raise UsageError(
            f"{typed(spec.path)}: no {which}layer is for {request.platform}",
            hint=f"add it to the `platforms` of a layer, or realise another: {_platforms(spec)}",
        )
    return selection


def ensure_locked(
    session: Session, project: Project, selection: Selection, request: Request, interpreters: Interpreters
) -> Locks:
    """Return the locks of the selected layers. Locks that are missing or stale are made first.

    Raises LockError when a lock is stale and the request forbids locking, and when a lock does not cover the platform.
    """
    target, reporter = request.platform, session.reporter
    below = {name for layer in selection.built for name in layer.dependency_names}  # perhaps not selected
    names = [one.env_name for one in project.spec.layers if one in selection or one.env_name in below]
    reasons = stale_reasons(project)
    stale = {name: reason for name in names if (reason := reasons.get(name)) is not None}
    for name in names:
        reporter.detail(f"{name}: its lock is {f'stale: {stale[name]}' if name in stale else 'valid'}")
    if stale and request.locked:
        raise stale_error(project.spec, stale)
    if stale and not request.dry_run:
        options = LockOptions(local_wheels=request.local_wheels, index=request.index, target=target)
        locked = lock_layers(session, project, selection, options, interpreters)
        stale = {}
        _report_findings(locked.values(), reporter)
    else:
        found = [one for one in project.locks if one.env_name in names and one.env_name not in stale]
        locked = {one.env_name: one for one in found}
        for line in missing_wheels(project.spec, found):
            reporter.warn(line, hint="venvstacks wrote this lock; the layer cannot be realised there")
    for layer in selection.built:
        if layer.env_name in locked:
            check_covered(locked[layer.env_name], target)
    for one in locked.values():
        if session.check_lock is not None:
            session.check_lock(one)
    pins = _pin_interpreters(project, selection, request, locked, interpreters)
    return Locks(locked=locked, pins=pins, stale=stale)


def _pin_interpreters(
    project: Project,
    selection: Selection,
    request: Request,
    locked: Mapping[str, LockedLayer],
    interpreters: Interpreters,
) -> dict[str, InterpreterPin]:
    """Return the pins by runtime. The pin of a lock that venvstacks wrote is written beside it."""
    known = _locked_pins(locked.values())
    pins = {}
    for layer in _runtimes(selection, request.platform):
        name = layer.env_name
        pins[layer.name] = interpreters.pin(layer.python, known.get(name))
        by_venvstacks = name in locked and locked[name].inputs is None
        if by_venvstacks and known.get(name) != pins[layer.name] and not (request.locked or request.dry_run):
            project.write_interpreter(layer, pins[layer.name])
    return pins


def _report_findings(locked: Iterable[LockedLayer], reporter: Reporter) -> None:
    for one in locked:
        for held in one.findings.held_back:
            reporter.note(f"layer {one.env_name}: held back: {held}")
        for conflict in one.findings.conflicts:
            reporter.warn(f"conflict: {conflict}")
        for warning in one.findings.warnings:
            reporter.warn(f"layer {one.env_name}: {warning}")
        for target, reason in one.findings.left_out.items():
            reporter.note(f"layer {one.env_name}: not locked for {target}: {reason}")


def stale_error(spec: Spec, stale: Mapping[str, str]) -> LockError:
    """Return the error for locks that are stale and must not be refreshed, given the reasons by env name."""
    return LockError(
        f"lock is missing or stale: {typed(spec.path)}",
        details=[f"layer {name}: {reason}" for name, reason in stale.items()],
        hint=f"run `vstore lock {quoted(spec.path)}`",
    )


def lock_layers(
    session: Session, project: Project, selection: Selection, options: LockOptions, interpreters: Interpreters
) -> Mapping[str, LockedLayer]:
    """Lock the selected layers, and return the locks by env name.

    uv inspects an interpreter of this machine for each runtime, also for one that is only for other machines.
    """
    spec = project.spec
    check_upgrades(project, options.upgrade_packages)
    check_places(spec, (layer for layer in selection.layers if selection.locks(layer)))
    kept = [layer for layer in spec.layers if not _gives_up_versions(selection.of(layer), options)]
    known = _locked_pins(found for layer in kept if (found := project.lock(layer)) is not None)
    pythons = {}
    for layer in _runtimes(selection):
        pin = interpreters.pin(layer.python, known.get(layer.env_name))
        pythons[layer.name] = PythonForLocking(path=interpreters.program(pin), pin=pin)
    options = replace(options, check=session.check_lock)
    locked = lock(project, selection, options, uv=session.uv, pythons=pythons, reporter=session.reporter)
    for line in missing_wheels(spec, locked):
        session.reporter.warn(line, hint="lock this layer with --reset, or narrow its `platforms`")
    return {one.env_name: one for one in locked}


def _gives_up_versions(operations: Sequence[Operation], options: LockOptions) -> bool:
    """Return whether the old versions of a layer are given up, and so its interpreter."""
    return Operation.RESET_LOCK in operations or (options.upgrade and Operation.LOCK in operations)


def _locked_pins(locked: Iterable[LockedLayer]) -> dict[str, InterpreterPin]:
    return {one.env_name: one.interpreter for one in locked if one.interpreter is not None}


def _runtimes(selection: Selection, target: Target | None = None) -> list[Layer]:
    """Return the runtimes of the selected layers, with a target only those that are for it."""
    found = {layer.runtime.name: layer.runtime for layer in selection.layers}
    return [layer for layer in found.values() if target is None or target in layer.targets]
