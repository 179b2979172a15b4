"""Resolving a request: uv resolves each target separately, and then lists the packages of each layer.

All required targets must be resolved. An optional one that cannot be resolved is omitted, with the reason. If the
wheels of a package do not fit the system that its layer allows, older versions are tried, a few times at most.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from vstore.errors import LockError
from vstore.lock.markers import environment_marker, holds
from vstore.lock.resolution.held_back import unmet_pins
from vstore.lock.resolution.missing_wheels import MissingWheelsError, NoWheel, system_needed
from vstore.lock.resolution.uv_answers import (
    Listing,
    Solution,
    Versions,
    list_packages,
    list_packages_of_any_machine,
    resolve_versions,
)
from vstore.lock.resolution.uv_errors import is_about_wheels, is_outage, lock_error, short_reason
from vstore.lock.resolution.uv_project import ResolveRequest, required_name
from vstore.lock.wheels import missing_targets
from vstore.reporter import Reporter, Unit
from vstore.target import Target
from vstore.uv import Uv, UvError
from vstore.values import frozen

_THREADS = 4
_MAX_ROUNDS = 20


@frozen
class _TargetSolution:
    """A resolution for one target, and those that it differs from, else None.

    `unpinned` is without the pins of the layers below, `separate` without a preference for the first target's versions.
    """

    versions: Versions
    unpinned: Versions | None = None
    separate: Versions | None = None


class Solver:
    """Resolves requests by running uv, and reports progress."""

    def __init__(self, uv: Uv, reporter: Reporter) -> None:
        self.uv = uv
        self.reporter = reporter

    def solve(self, request: ResolveRequest) -> Solution:
        """Return the solution. Raises LockError, as ResolutionConflictError where other pins or layers could help."""
        solution = any_system = self._solve(replace(request, any_system=True))
        too_new = [one for one in _without_wheel(request, solution) if system_needed(one)]
        if too_new:
            solution = self._solve(request)
        left_out: dict[Target, str] = {}
        for attempt in range(1, _MAX_ROUNDS + 1):
            missing = list(_without_wheel(request, solution))
            if not missing:
                kept = [one for one in too_new if one.target in solution.versions]
                left_out |= solution.left_out
                return replace(
                    solution, left_out=left_out, too_new=kept, any_system=any_system.versions if kept else {}
                )
            if attempt == _MAX_ROUNDS:
                break
            needed = [one for one in missing if one.target in request.required]
            left_out |= {one.target: f"no wheel of {one.package.name}" for one in missing if one not in needed}
            optional = tuple(target for target in request.optional if target not in left_out)
            pins = dict.fromkeys(
                f"{one.package.name}!={one.package.version} ; {environment_marker(one.target)}" for one in needed
            )
            request = replace(request, optional=optional, pins=(*request.pins, *pins))
            solution = self._solve(request)
        raise MissingWheelsError(missing, self._possible(request, {one.target for one in missing}))

    def solve_alone(self, requests: Sequence[ResolveRequest], target: Target) -> list[Versions | None]:
        """Return the versions of each request, solved separately, for a target, None where uv finds none."""

        def versions(request: ResolveRequest) -> Versions | None:
            try:
                preferred = request.preferred.get(target, {})
                return resolve_versions(request, target, self.uv, constraints=request.pins, preferred=preferred)
            except UvError:
                return None

        with ThreadPoolExecutor(_THREADS) as pool, self.uv.cancel.set_after(errors=False):
            return list(pool.map(versions, requests))

    def _solve(self, request: ResolveRequest) -> Solution:
        first, *others = request.required
        found = {first: self._required(request, first)}
        first_versions = found[first].versions
        with ThreadPoolExecutor(_THREADS) as pool, self.uv.cancel.set_after(errors=False):
            required = list(pool.map(partial(self._required, request, first=first_versions), others))
            optional = list(pool.map(partial(self._optional, request, first=first_versions), request.optional))
        found |= dict(zip(others, required, strict=True))
        answers = dict(zip(request.optional, optional, strict=True))
        found |= {target: one for target, one in answers.items() if isinstance(one, _TargetSolution)}
        versions = {target: one.versions for target, one in found.items()}
        listing = self._list_packages(request, versions)
        return Solution(
            packages=listing.packages,
            warnings=listing.warnings,
            versions=versions,
            unpinned={target: one.unpinned for target, one in found.items() if one.unpinned is not None},
            separate={target: one.separate for target, one in found.items() if one.separate is not None},
            left_out={target: reason for target, reason in answers.items() if isinstance(reason, str)},
        )

    def _required(self, request: ResolveRequest, target: Target, first: Versions | None = None) -> _TargetSolution:
        try:
            return self._solve_target(request, target, first)
        except UvError as error:
            raise self._failure(request, error, target) from error

    def _optional(self, request: ResolveRequest, target: Target, first: Versions) -> _TargetSolution | str:
        try:
            return self._solve_target(request, target, first)
        except UvError as error:
            if is_outage(error) and not self.uv.offline:
                raise self._failure(request, error, target) from error
            return "not known offline" if self.uv.offline else short_reason(error)

    def _solve_target(self, request: ResolveRequest, target: Target, first: Versions | None) -> _TargetSolution:
        """Solve a target separately; if it differs from the first one, again with a preference for its versions."""
        preferred = request.preferred.get(target, {})
        alone = self._over_pins(request, target, preferred)
        wanted = {name: version for name in first.pins if (version := first.version(name))} if first is not None else {}
        if all(alone.versions.version(name) in (None, version) for name, version in wanted.items()):
            return alone
        return replace(self._over_pins(request, target, {**wanted, **preferred}), separate=alone.versions)

    def _over_pins(self, request: ResolveRequest, target: Target, preferred: Mapping[str, str]) -> _TargetSolution:
        """Solve without the pins of the layers below, and only if that does not meet them, with them."""
        below = request.below(target)
        unpinned, uv = None, self._reporting(request, target)
        if below:
            try:
                unpinned = resolve_versions(request, target, uv, constraints=request.pins, preferred=preferred)
            except UvError as error:
                if is_outage(error):
                    raise
            if unpinned is not None and not unmet_pins(unpinned, below):
                return _TargetSolution(versions=unpinned)
        constraints = request.constraints()
        try:
            found = resolve_versions(request, target, uv, constraints=constraints, preferred=preferred)
            return _TargetSolution(versions=found, unpinned=unpinned)
        except UvError as error:
            if unpinned is None or is_outage(error) or target not in request.required:
                raise
            raise lock_error(request, error, target, unmet_pins(unpinned, below)) from error

    def _reporting(self, request: ResolveRequest, target: Target) -> Uv:
        """Return a uv that reports the progress of the resolution."""

        def on_packages(count: int) -> None:
            self.reporter.progress(request.subject, f"resolving for {target}", count, unit=Unit.PACKAGES)

        if target == request.required[0]:  # the others run at the same time
            on_packages(0)
            return replace(self.uv, on_packages=on_packages)
        return self.uv

    def _list_packages(self, request: ResolveRequest, versions: Mapping[Target, Versions]) -> Listing:
        try:
            return list_packages(request, versions, self.uv)
        except UvError as error:
            raise lock_error(request, error) from error

    def _failure(self, request: ResolveRequest, error: UvError, target: Target) -> Exception:
        """Return the error to raise. uv names only the first package without a wheel; this finds all."""
        if is_about_wheels(error) and not is_outage(error):
            try:
                packages = list_packages_of_any_machine(request, self.uv)
            except UvError:
                return lock_error(request, error, target)
            versions = dict.fromkeys(request.required, Versions(pins={}, parents={}))
            missing = list(_without_wheel(request, Solution(packages=packages, versions=versions)))
            possible = self._possible(request, {target}) if missing else []
            missing = [one for one in missing if one.target not in possible]
            if missing:
                return MissingWheelsError(self._without_older(request, missing) or missing, possible)
        return lock_error(request, error, target)

    def _without_older(self, request: ResolveRequest, missing: Sequence[NoWheel]) -> list[NoWheel]:
        """Return those without a wheel also for an older version that the layers allow."""

        def has_older(one: NoWheel) -> bool:
            own = [text for layer in request.layers for text in layer.requirements]
            wanted = [text for text in own if required_name(text) == one.package.name]
            layer = replace(one.layer, requirements=(*wanted, f"{one.package.name}<{one.package.version}"))
            alone = replace(request, layers=(layer,), dependencies=(), preferred={})
            return self.solve_alone([alone], one.target) != [None]

        with ThreadPoolExecutor(_THREADS) as pool, self.uv.cancel.set_after(errors=False):
            return [one for one, older in zip(missing, pool.map(has_older, missing), strict=True) if not older]

    def _possible(self, request: ResolveRequest, gone: Collection[Target]) -> list[Target]:
        """Return the other targets for which the layers can be locked."""
        others = [target for target in (*request.required, *request.optional) if target not in gone]
        with ThreadPoolExecutor(_THREADS) as pool, self.uv.cancel.set_after(errors=False):
            possible = pool.map(partial(self._is_solvable, request), others)
            return [target for target, can in zip(others, possible, strict=True) if can]

    def _is_solvable(self, request: ResolveRequest, target: Target) -> bool:
        layers = tuple(layer for layer in request.layers if target in layer.targets)
        try:
            self.solve(replace(request, layers=layers, required=(target,), optional=()))
        except LockError:
            return False
        return True


def _without_wheel(request: ResolveRequest, solution: Solution) -> Iterator[NoWheel]:
    """Return the packages without a wheel that their layer allows. Those of a layer below count for that layer only."""
    python = request.python.pin.version
    below = {target: request.below(target) for target in solution.versions}
    seen: dict[str, set[tuple[str, str]]] = {}
    for layer in request.layers:
        packages = solution.packages[layer.env_name]
        seen[layer.env_name] = {(package.name, package.version) for package in packages}
        provided = {one for name in layer.dependency_names for one in seen.get(name, ())}
        for package in packages:
            if (package.name, package.version) in provided:
                continue
            targets = [one for one in solution.versions if one in layer.targets and holds(package.marker, one, python)]
            targets = [one for one in targets if below[one].get(package.name, ("",))[0] != package.version]
            for target in missing_targets(package, layer, targets, python):
                yield NoWheel(layer=layer, package=package, target=target, python=python)
