"""Locking: uv resolves each layer under the pins of the layers below, for all its targets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from vstore.errors import LockError
from vstore.fs.paths import typed
from vstore.lock.lockfile import packages_digest
from vstore.lock.markers import holds
from vstore.lock.model import Findings, LockedLayer, LockedPackage, LockOptions, PythonForLocking
from vstore.lock.project import Project
from vstore.lock.record import read_record
from vstore.lock.resolution.conflicts import find_conflicts
from vstore.lock.resolution.held_back import find_held_back, wheels_without_native_code
from vstore.lock.resolution.joint import resolve_joint
from vstore.lock.resolution.postprocess import layer_packages
from vstore.lock.resolution.solve import Solver
from vstore.lock.resolution.uv_answers import Solution, Versions
from vstore.lock.resolution.uv_errors import PinConflictError, ResolutionConflictError, check_requirements
from vstore.lock.resolution.uv_project import ResolveRequest
from vstore.lock.resolution.uv_warnings import general_warnings, package_warnings
from vstore.lock.staleness import lock_inputs, stale_reason, stale_reasons
from vstore.objects import Kind
from vstore.python_version import feature_version
from vstore.reporter import Reporter
from vstore.spec import Layer
from vstore.spec.lockfiles import lock_path, record_path
from vstore.spec.select import Operation, Selection
from vstore.target import Target
from vstore.uv import Uv

PreferredVersions = Mapping[Target, Mapping[str, str]]


def lock(
    project: Project,
    selection: Selection,
    options: LockOptions,
    *,
    uv: Uv,
    pythons: Mapping[str, PythonForLocking],
    reporter: Reporter,
) -> tuple[LockedLayer, ...]:
    """Lock the selected layers, lowest first, and return their locks. `pythons` are by the names of runtimes.

    Old versions are kept where they still fit, unless they are upgraded or reset. Layers that were never locked are
    resolved jointly if the pins below make one of them impossible. Raises LockError; the locks of the layers below the
    failing one are then complete.
    """
    locker = _Locker(project, selection, options, uv, pythons, reporter)
    for layer in project.spec.layers:
        if selection.locks(layer) or layer.env_name in locker.joint:
            locker.lock(layer)
    return tuple(locker.locked.values())


class _Locker:
    """Locks one layer after another."""

    def __init__(
        self,
        project: Project,
        selection: Selection,
        options: LockOptions,
        uv: Uv,
        pythons: Mapping[str, PythonForLocking],
        reporter: Reporter,
    ) -> None:
        self.project = project
        self.spec = project.spec
        self.selection = selection
        self.options = options
        self.uv = uv
        self.pythons = pythons
        self.reporter = reporter
        self.solver = Solver(uv, reporter)
        self.host = options.target or Target.host()
        self.locked: dict[str, LockedLayer] = {}
        kept = (layer for layer in self.spec.layers if Operation.RESET_LOCK not in selection.of(layer))
        self.old_locks = {layer.env_name: found for layer in kept if (found := project.lock(layer)) is not None}
        self.joint = self._find_joint()
        self.joint_solutions: dict[str, Solution] = {}
        self.warned: set[str] = set()

    def _find_joint(self) -> dict[str, PreferredVersions]:
        """Return the layers to resolve jointly, by env name, with their preferred versions.

        If one layer on a runtime must be resolved jointly, all layers on that runtime are.
        """
        found: dict[str, PreferredVersions] = {}
        for runtime in self.spec.layers:
            layers = self._layers_on(runtime)
            if runtime.kind != Kind.RUNTIME or not any(self.selection.locks(one) for one in layers):
                continue
            old = [self.old_locks[one.env_name] for one in layers if one.env_name in self.old_locks]
            joint = any(one.joint for one in old) if self.options.joint is None else self.options.joint
            if joint and self._must_resolve_any(layers, old):
                found |= dict.fromkeys((one.env_name for one in layers), self._preferred(runtime, old))
        return found

    def _layers_on(self, layer: Layer) -> tuple[Layer, ...]:
        """Return all layers on the runtime of a layer, with the runtime."""
        return tuple(one for one in self.spec.layers if one.targets and one.runtime.name == layer.runtime.name)

    def _must_resolve_any(self, layers: Sequence[Layer], old: Sequence[LockedLayer]) -> bool:
        if any(Operation.LOCK in self.selection.of(one) for one in layers):
            return True
        if len(old) < len(layers) or not all(one.joint for one in old):
            return True
        reasons = stale_reasons(self.project, numbers=False)
        return any(reasons[one.env_name] for one in layers)

    def lock(self, layer: Layer) -> None:
        """Lock the layer. If the pins below forbid it, and there were no locks, lock all on its runtime jointly."""
        try:
            self._lock(layer)
        except PinConflictError as error:
            layers = self._layers_on(layer)
            if self.options.joint is not None or any(one.env_name in self.old_locks for one in layers):
                raise
            self.joint |= {one.env_name: {} for one in layers}
            try:
                self._joint_solution(layer)
            except ResolutionConflictError:
                raise PinConflictError(error.message, details=error.details, hint="change the requirements") from error
            self.reporter.note(f"layers on one runtime are locked jointly: {error.details[0]}")
            for one in layers[: layers.index(layer) + 1]:
                self._lock(one)

    def _lock(self, layer: Layer) -> None:
        """Resolve the layer if needed. The files beside its lock are updated in any case."""
        started, name = time.monotonic(), layer.env_name
        dependencies = [self._dependency(layer, below) for below in layer.dependencies]
        old = self.old_locks.get(name)
        reason = self._why_resolve(layer, old, dependencies)
        if old is None or reason is not None:
            self.reporter.detail(f"{name}: resolved, because {reason}")
            resolved = self._resolve(layer, dependencies, old)
            self._check(resolved)
            self.project.write_lock(layer, resolved)
            self.reporter.completed(name, "locked", time.monotonic() - started)
        else:
            self._check(old)
            if layer.kind == Kind.RUNTIME and old.inputs is None:
                self.project.write_interpreter(layer, self._python(layer).pin)
        self.locked[layer.env_name] = self.project.write_sidecars(
            layer, environment=self.uv.environment, now=datetime.now(UTC)
        )

    def _check(self, locked: LockedLayer) -> None:
        if self.options.check is not None:
            self.options.check(locked)

    def _python(self, layer: Layer) -> PythonForLocking:
        return self.pythons[layer.runtime.name]

    def _why_resolve(self, layer: Layer, old: LockedLayer | None, dependencies: Sequence[LockedLayer]) -> str | None:
        """Return why the layer must be resolved; None if its lock is valid."""
        if layer.env_name in self.joint:
            return f"the layers on runtime {layer.runtime.name} are resolved together"
        if old is not None and Operation.LOCK in self.selection.of(layer):
            return "it was asked for"
        if old is not None and old.joint and self.options.joint is False:
            return "it was resolved together with other layers"
        digests = {one.env_name: one.digest for one in dependencies}
        return stale_reason(self.spec, layer, old, digests)

    def _resolve(self, layer: Layer, dependencies: Sequence[LockedLayer], old: LockedLayer | None) -> LockedLayer:
        joint = layer.env_name in self.joint
        request = self._request((layer,), dependencies, self._preferred(layer, [] if old is None else [old]))
        solution = self._joint_solution(layer) if joint else self.solver.solve(request)
        targets = [target for target in layer.targets if target in solution.versions]
        packages = layer_packages(request, layer, solution.packages[layer.env_name], targets)
        without_native = wheels_without_native_code(layer, packages, targets, request.python.pin.version)
        findings = Findings(
            left_out=self._left_out(layer, solution, dependencies),
            held_back=tuple(find_held_back(request, layer, solution, packages)),
            conflicts=tuple(self._conflicts(request, layer, packages)),
            warnings=(*self._warnings(layer, dependencies, solution), *without_native),
        )
        return LockedLayer(
            env_name=layer.env_name,
            path=lock_path(self.spec, layer),
            packages=packages,
            packages_digest=packages_digest(packages),
            inputs=lock_inputs(
                self.spec,
                layer,
                feature_version(request.python.pin.version),
                {one.env_name: one.digest for one in dependencies},
            ),
            interpreter=request.python.pin if layer.kind == Kind.RUNTIME else None,
            joint=joint,
            findings=findings,
            record=read_record(record_path(self.spec, layer)),
        )

    def _conflicts(self, request: ResolveRequest, layer: Layer, packages: Sequence[LockedPackage]) -> Iterator[str]:
        """Return the conflicts of a finished stack: of a layer that is not below another."""
        if not any(layer.env_name in above.dependency_names for above in self.spec.layers):
            yield from find_conflicts(request, layer, packages, self.uv)

    def _warnings(self, layer: Layer, dependencies: Sequence[LockedLayer], solution: Solution) -> Iterator[str]:
        """Return what uv warns of in a layer and not in a layer below it. Report its other warnings, each once."""
        for general in general_warnings(solution):
            if general not in self.warned:
                self.reporter.warn(f"uv: {general}")
            self.warned.add(general)
        known = {warning for below in dependencies for warning in below.findings.warnings}
        layers = [one for one in self.spec.layers if one.env_name in solution.packages]
        yield from (found for found in package_warnings(layers, layer, solution) if found not in known)

    def _joint_solution(self, layer: Layer) -> Solution:
        """Return the solution of a layer, resolved together with all layers on its runtime."""
        if layer.env_name not in self.joint_solutions:
            preferred = self.joint[layer.env_name]

            def solve(layers: Sequence[Layer], pins: tuple[str, ...]) -> Solution:
                return self.solver.solve(self._request(layers, (), preferred, pins))

            def solve_alone(stacks: Sequence[Sequence[Layer]], target: Target) -> list[Versions | None]:
                return self.solver.solve_alone([self._request(stack, (), preferred) for stack in stacks], target)

            layers, started = self._layers_on(layer), time.monotonic()
            self.joint_solutions |= resolve_joint(layers, solve, solve_alone)
            together = self._request(layers, (), preferred).subject
            self.reporter.completed(together, "resolved", time.monotonic() - started)
        return self.joint_solutions[layer.env_name]

    def _request(
        self,
        layers: Sequence[Layer],
        dependencies: Sequence[LockedLayer],
        preferred: PreferredVersions,
        pins: tuple[str, ...] = (),
    ) -> ResolveRequest:
        check_requirements(layers, typed(self.spec.path))
        required = {target for layer in layers for target in self.spec.required_targets(layer)}
        required |= {self.host for layer in layers if not layer.platforms_named and self.host in layer.targets}
        lost = {Target(target) for below in dependencies for target in below.findings.left_out}
        if lost & required:
            raise LockError(
                f"layer {layers[0].env_name} cannot be locked for {', '.join(sorted(lost & required))}",
                details=[
                    f"layer {below.env_name} is not locked for {target}: {reason}"
                    for below in dependencies
                    for target, reason in below.findings.left_out.items()
                ],
                hint="change the requirements of the layer below, or name fewer `platforms`",
            )
        targets = dict.fromkeys(
            target for layer in layers for target in (self.host, *layer.targets) if target in layer.targets
        )
        return ResolveRequest(
            spec=self.spec,
            layers=tuple(layers),
            dependencies=dependencies,
            python=self._python(layers[0]),
            required=tuple(target for target in targets if target in required),
            optional=tuple(target for target in targets if target not in required | lost),
            pins=pins,
            preferred=preferred,
            local_wheels=self.options.local_wheels,
            index=self.options.index,
        )

    def _left_out(self, layer: Layer, solution: Solution, dependencies: Sequence[LockedLayer]) -> dict[str, str]:
        """Return the targets that the lock does not cover, with the reasons, which may lie in a layer below."""
        below = {
            target: f"layer {one.env_name} is left out" for one in dependencies for target in one.findings.left_out
        }
        found = {target: str(solution.left_out.get(target) or below.get(target, "")) for target in layer.targets}
        return {str(target): reason for target, reason in found.items() if target not in solution.versions}

    def _preferred(self, layer: Layer, old: Sequence[LockedLayer]) -> PreferredVersions:
        """Return the versions in old locks, by target and package, without packages that have several versions."""
        from packaging.utils import canonicalize_name

        if self.options.upgrade:
            return {}
        python = self._python(layer).pin.version
        upgraded = {canonicalize_name(name) for name in self.options.upgrade_packages}
        found: dict[Target, dict[str, str]] = {}
        for target in layer.targets:
            versions: dict[str, set[str]] = {}
            for package in (package for one in old for package in one.packages):
                if not package.shared and package.name not in upgraded and holds(package.marker, target, python):
                    versions.setdefault(package.name, set()).add(package.version)
            found[target] = {name: one.pop() for name, one in versions.items() if len(one) == 1}
        return found

    def _dependency(self, layer: Layer, below: Layer) -> LockedLayer:
        """Return the lock of a layer below, which must be valid. Raises LockError."""
        if below.env_name not in self.locked:
            digests = {one.env_name: self._dependency(below, one).digest for one in below.dependencies}
            locked = self.project.lock(below)
            reason = stale_reason(self.spec, below, locked, digests)
            if locked is None or reason is not None:
                raise LockError(
                    f"layer {layer.env_name} cannot be locked over a layer without a valid lock",
                    details=[f"layer {below.env_name}: {reason}"],
                    hint="lock it too: leave out --no-dependencies, or add it by --include",
                )
            self.locked[below.env_name] = locked
        return self.locked[below.env_name]
