"""Locking: each layer resolved by uv under the pins of the layers below, for all its targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vstore.errors import LockError
from vstore.lock.consistency import find_conflicts
from vstore.lock.lockfile import parse_package, read_document, read_lock, read_locks, write_interpreter, write_lock
from vstore.lock.markers import holds
from vstore.lock.model import Findings, LockedLayer, LockOptions, PythonForLocking
from vstore.lock.resolution.held_back import held_back
from vstore.lock.resolution.joint import resolve_joint
from vstore.lock.resolution.postprocess import edited
from vstore.lock.resolution.solve import Solver
from vstore.lock.resolution.uv_answers import Solution, Versions
from vstore.lock.resolution.uv_errors import PinConflict, ResolutionConflict, check_requirements
from vstore.lock.resolution.uv_project import ResolveRequest
from vstore.lock.sidecar_files import write_companions
from vstore.lock.staleness import check, inputs, reason
from vstore.objects import Kind
from vstore.reporter import Reporter
from vstore.spec import Layer, Spec
from vstore.spec.select import Operation, Selection
from vstore.target import Target
from vstore.uv import Uv

Keep = Mapping[Target, Mapping[str, str]]


def lock(
    spec: Spec,
    selection: Selection,
    wish: LockOptions,
    *,
    uv: Uv,
    pythons: Mapping[str, PythonForLocking],
    reporter: Reporter,
) -> tuple[LockedLayer, ...]:
    """Lock the selected layers, lowest first, and return their locks; `pythons` is by runtime name.

    Old pins are kept where they still fit, unless upgraded or reset. Layers that were never locked are locked jointly
    where a pin below makes one above impossible. Raises LockError; locks of the layers below the failing one are
    complete by then.
    """
    locker = _Locker(spec, selection, wish, uv, pythons, reporter)
    for layer in spec.layers:
        if selection.locks(layer) or layer.env_name in locker.joint:
            locker.one(layer)
    return tuple(locker.done.values())


class _Locker:
    """Locks one layer after another."""

    def __init__(
        self,
        spec: Spec,
        selection: Selection,
        wish: LockOptions,
        uv: Uv,
        pythons: Mapping[str, PythonForLocking],
        reporter: Reporter,
    ) -> None:
        self.spec = spec
        self.selection = selection
        self.wish = wish
        self.uv = uv
        self.pythons = pythons
        self.solver = Solver(uv, reporter)
        self.reporter = reporter
        self.host = wish.target or Target.host()
        self.done: dict[str, LockedLayer] = {}
        self.olds = {one.env_name: one for one in read_locks(spec, without=selection.resets)}
        self.joint = self._joint()
        self.solutions: dict[str, Solution] = {}  # of layers resolved jointly

    def _joint(self) -> dict[str, Keep]:
        """By env name, for layers to resolve jointly (all over a runtime where one must be), the versions to keep."""
        found: dict[str, Keep] = {}
        for runtime in self.spec.layers:
            tree = self._tree(runtime)
            if runtime.kind != Kind.RUNTIME or not any(self.selection.locks(one) for one in tree):
                continue
            locked = [self.olds[one.env_name] for one in tree if one.env_name in self.olds]
            joint = any(one.joint for one in locked) if self.wish.joint is None else self.wish.joint
            if joint and self._must_any(tree, locked):
                found |= dict.fromkeys((one.env_name for one in tree), self._keep(runtime, locked))
        return found

    def _tree_of(self, layer: Layer) -> tuple[Layer, ...]:
        """All layers on the runtime of a layer."""
        return self._tree(self.spec.dependencies(layer)[-1] if layer.runtime else layer)

    def _tree(self, runtime: Layer) -> tuple[Layer, ...]:
        return tuple(one for one in self.spec.layers if one.targets and runtime.name == (one.runtime or one.name))

    def _must_any(self, tree: Sequence[Layer], locked: Sequence[LockedLayer]) -> bool:
        asked = any(Operation.LOCK in self.selection.of(one) for one in tree)
        if asked or len(locked) < len(tree) or not all(one.joint for one in locked):
            return True
        reasons = check(self.spec, numbers=False)
        return any(reasons[one.env_name] for one in tree)

    def one(self, layer: Layer) -> None:
        """Lock the layer; if pins below forbid it, and there were no locks before, lock all on its runtime jointly."""
        try:
            self._one(layer)
        except PinConflict as error:
            tree = self._tree_of(layer)
            if self.wish.joint is not None or any(one.env_name in self.olds for one in tree):
                raise
            self.joint |= {one.env_name: {} for one in tree}
            try:
                self._joint_solution(layer)
            except ResolutionConflict:
                raise PinConflict(error.message, details=error.details, hint="change the requirements") from error
            self.reporter.note(f"layers on one runtime are locked jointly: {error.details[0]}")
            for one in tree[: tree.index(layer) + 1]:
                self._one(one)

    def _one(self, layer: Layer) -> None:
        """Resolve the layer if it must be; its companions are brought up to date in any case."""
        dependencies = [self._dependency(layer, low) for low in self.spec.dependencies(layer)]
        digests = {one.env_name: one.digest for one in dependencies}
        old = None if Operation.RESET_LOCK in self.selection.of(layer) else read_lock(self.spec, layer)
        if layer.env_name in self.joint or old is None or self._must(layer, old, digests):
            self._resolve(layer, dependencies, old)
        elif layer.kind == Kind.RUNTIME and old.inputs is None:
            write_interpreter(self.spec, layer, self._python(layer).pin)
        document, now = read_document(self.spec, layer), datetime.now(UTC)
        assert document is not None
        write_companions(self.spec, layer, document, environment=self.uv.environment, now=now)
        locked = read_lock(self.spec, layer)
        assert locked is not None
        self.done[layer.env_name] = locked

    def _python(self, layer: Layer) -> PythonForLocking:
        return self.pythons[layer.runtime or layer.name]

    def _must(self, layer: Layer, old: LockedLayer, digests: Mapping[str, str]) -> bool:
        asked = Operation.LOCK in self.selection.of(layer) or (old.joint and self.wish.joint is False)
        return asked or reason(self.spec, layer, old, digests) is not None

    def _resolve(self, layer: Layer, dependencies: Sequence[LockedLayer], old: LockedLayer | None) -> None:
        joint = layer.env_name in self.joint
        request = self._request((layer,), dependencies, self._keep(layer, [] if old is None else [old]))
        solution = self._joint_solution(layer) if joint else self.solver.solve(request)
        targets = [target for target in layer.targets if target in solution.versions]
        document = edited(
            request, layer, solution.documents[layer.env_name], dependencies=dependencies, targets=targets
        )
        findings = Findings(
            left_out=self._left_out(layer, solution, dependencies),
            held_back=tuple(held_back(request, layer, solution, document)),
            conflicts=tuple(self._conflicts(request, layer, document, dependencies)),
        )
        digests = {one.env_name: one.digest for one in dependencies}
        pin = request.python.pin if layer.kind == Kind.RUNTIME else None
        write_lock(self.spec, layer, document, inputs(self.spec, layer, digests), pin, findings=findings, joint=joint)

    def _conflicts(
        self, request: ResolveRequest, layer: Layer, document: Mapping[str, Any], dependencies: Sequence[LockedLayer]
    ) -> Iterator[str]:
        """The conflicts in a finished stack, which is one whose layer nothing sits on."""
        if not any(layer in self.spec.dependencies(above) for above in self.spec.layers):
            own = [parse_package(table) for table in document["packages"]]
            yield from find_conflicts(request, layer, own, dependencies, self.uv)

    def _joint_solution(self, layer: Layer) -> Solution:
        """The layer's solution, together with all layers on its runtime."""
        if layer.env_name not in self.solutions:
            tree = self._tree_of(layer)
            keep = self.joint[layer.env_name]

            def solve(layers: Sequence[Layer], pins: tuple[str, ...]) -> Solution:
                return self.solver.solve(self._request(layers, (), keep, pins))

            def plain(stacks: Sequence[Sequence[Layer]], target: Target) -> list[Versions | None]:
                return self.solver.alone([self._request(stack, (), keep) for stack in stacks], target)

            self.solutions |= resolve_joint(self.spec, tree, solve, plain)
        return self.solutions[layer.env_name]

    def _request(
        self, layers: Sequence[Layer], dependencies: Sequence[LockedLayer], keep: Keep, pins: tuple[str, ...] = ()
    ) -> ResolveRequest:
        check_requirements(layers, self.spec.path.name)
        needed = {target for layer in layers for target in self.spec.required(layer)}
        needed |= {self.host for layer in layers if not layer.platforms_named and self.host in layer.targets}
        lost = {Target(target) for low in dependencies for target in low.findings.left_out}
        if lost & needed:
            raise LockError(
                f"layer {layers[0].env_name} cannot be locked for {', '.join(sorted(lost & needed))}",
                details=[
                    f"layer {low.env_name} is not locked for {target}: {why}"
                    for low in dependencies
                    for target, why in low.findings.left_out.items()
                ],
                hint="change what the layer below requires there, or name fewer `platforms`",
            )
        targets = dict.fromkeys(
            target for layer in layers for target in (self.host, *layer.targets) if target in layer.targets
        )
        return ResolveRequest(
            spec=self.spec,
            layers=tuple(layers),
            dependencies=dependencies,
            python=self._python(layers[0]),
            required=tuple(target for target in targets if target in needed),
            optional=tuple(target for target in targets if target not in needed | lost),
            pins=pins,
            keep=keep,
            local_wheels=self.wish.local_wheels,
            index=self.wish.index,
        )

    def _left_out(self, layer: Layer, solution: Solution, dependencies: Sequence[LockedLayer]) -> dict[str, str]:
        """The targets that the lock does not cover, with the reasons, which may lie below."""
        below = {
            target: f"layer {low.env_name} is left out" for low in dependencies for target in low.findings.left_out
        }
        found = {target: str(solution.left_out.get(target) or below.get(target, "")) for target in layer.targets}
        return {str(target): why for target, why in found.items() if target not in solution.versions}

    def _keep(self, layer: Layer, olds: Sequence[LockedLayer]) -> Keep:
        """The versions that uv shall prefer, by target and name; a name locked at several versions is left to uv."""
        from packaging.utils import canonicalize_name

        if self.wish.upgrade:
            return {}
        python = self._python(layer).pin.version
        upgraded = {canonicalize_name(name) for name in self.wish.upgrade_packages}
        found: dict[Target, dict[str, str]] = {}
        for target in layer.targets:
            versions: dict[str, set[str]] = {}
            for package in (package for old in olds for package in old.packages):
                if not package.shared and package.name not in upgraded and holds(package.marker, target, python):
                    versions.setdefault(package.name, set()).add(package.version)
            found[target] = {name: one.pop() for name, one in versions.items() if len(one) == 1}
        return found

    def _dependency(self, layer: Layer, low: Layer) -> LockedLayer:
        """The lock of a layer below: just made, or there and valid."""
        if low.env_name not in self.done:
            below = {one.env_name: self._dependency(low, one).digest for one in self.spec.dependencies(low)}
            locked = read_lock(self.spec, low)
            why = reason(self.spec, low, locked, below)
            if locked is None or why is not None:
                raise LockError(
                    f"layer {layer.env_name} cannot be locked over a layer without a valid lock",
                    details=[f"layer {low.env_name}: {why}"],
                    hint="lock it too: leave out --no-dependencies, or add it by --include",
                )
            self.done[low.env_name] = locked
        return self.done[low.env_name]
