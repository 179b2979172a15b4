"""Resolving a request: each target by itself, as uv would there, and one document per layer out of all.

The required targets must be resolved. Each optional one is left out with the reason if it cannot be. A package whose
wheels fit one layer's systems and not another's is lowered, a few times at most.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from vstore.errors import LockError
from vstore.lock.lockfile import parse_package
from vstore.lock.markers import environment_marker, holds
from vstore.lock.resolution.held_back import disagreements
from vstore.lock.resolution.postprocess import MissingWheels, NoWheel, system_needed
from vstore.lock.resolution.uv_answers import Solution, Versions, any_machine, documents, resolve_versions
from vstore.lock.resolution.uv_errors import explained, is_about_wheels, is_outage, short_reason
from vstore.lock.resolution.uv_project import ResolveRequest, required_name
from vstore.lock.select import missing_targets
from vstore.reporter import Reporter, Unit
from vstore.target import Target
from vstore.uv import Uv, UvFailed
from vstore.values import frozen

_AT_A_TIME = 4
_ROUNDS = 20


@frozen
class _Answer:
    """The resolution for one target; `free` without the pins below, `apart` without the versions of the first target.

    Each of the last two is None where it is the same.
    """

    versions: Versions
    free: Versions | None = None
    apart: Versions | None = None


class Solver:
    """Resolves requirements by running uv."""

    def __init__(self, uv: Uv, reporter: Reporter) -> None:
        self.uv = uv
        self.reporter = reporter

    def solve(self, request: ResolveRequest) -> Solution:
        """The solution. Raises LockError: ResolutionConflict where other pins or layers could help."""
        solution = newest = self._solve(replace(request, any_system=True))
        too_new = [one for one in _misfits(request, solution) if system_needed(one)]
        if too_new:
            solution = self._solve(request)
        left_out: dict[Target, str] = {}
        for attempt in range(1, _ROUNDS + 1):
            misfits = list(_misfits(request, solution))
            if not misfits:
                kept = [one for one in too_new if one.target in solution.versions]
                left_out |= solution.left_out
                return replace(solution, left_out=left_out, too_new=kept, newest=newest.versions if kept else {})
            if attempt == _ROUNDS:
                break
            needed = [one for one in misfits if one.target in request.required]
            left_out |= {one.target: f"no wheel of {one.package.name}" for one in misfits if one not in needed}
            optional = tuple(target for target in request.optional if target not in left_out)
            pins = dict.fromkeys(
                f"{one.package.name}!={one.package.version} ; {environment_marker(one.target)}" for one in needed
            )
            request = replace(request, optional=optional, pins=(*request.pins, *pins))
            solution = self._solve(request)
        raise MissingWheels(misfits, self._possible(request, {one.target for one in misfits}))

    def alone(self, requests: Sequence[ResolveRequest], target: Target) -> list[Versions | None]:
        """The versions of each request by itself for a target; None where uv finds none."""

        def versions(request: ResolveRequest) -> Versions | None:
            try:
                prefer = request.keep.get(target, {})
                return resolve_versions(request, target, self.uv, constraints=request.pins, prefer=prefer)
            except UvFailed:
                return None

        with ThreadPoolExecutor(_AT_A_TIME) as pool, self.uv.cancel.set_after(errors=False):
            return list(pool.map(versions, requests))

    def _solve(self, request: ResolveRequest) -> Solution:
        first, *others = request.required
        found = {first: self._required(request, first)}
        like = found[first].versions
        with ThreadPoolExecutor(_AT_A_TIME) as pool, self.uv.cancel.set_after(errors=False):
            required = list(pool.map(partial(self._required, request, like=like), others))
            optional = list(pool.map(partial(self._optional, request, like=like), request.optional))
        found |= dict(zip(others, required, strict=True))
        answers = dict(zip(request.optional, optional, strict=True))
        found |= {target: one for target, one in answers.items() if isinstance(one, _Answer)}
        versions = {target: one.versions for target, one in found.items()}
        return Solution(
            documents=self._documents(request, versions),
            versions=versions,
            free={target: one.free for target, one in found.items() if one.free is not None},
            apart={target: one.apart for target, one in found.items() if one.apart is not None},
            left_out={target: reason for target, reason in answers.items() if isinstance(reason, str)},
        )

    def _required(self, request: ResolveRequest, target: Target, like: Versions | None = None) -> _Answer:
        try:
            return self._answer(request, target, like)
        except UvFailed as error:
            raise self._failure(request, error, target) from error

    def _optional(self, request: ResolveRequest, target: Target, like: Versions) -> _Answer | str:
        try:
            return self._answer(request, target, like)
        except UvFailed as error:
            if is_outage(error) and not self.uv.offline:
                raise self._failure(request, error, target) from error
            return "not to be known offline" if self.uv.offline else short_reason(error)

    def _answer(self, request: ResolveRequest, target: Target, like: Versions | None) -> _Answer:
        """The target by itself; if it differs from the first one, once more, with a preference for its versions."""
        keep = request.keep.get(target, {})
        alone = self._over_pins(request, target, keep)
        wanted = {name: version for name in like.pins if (version := like.version(name))} if like is not None else {}
        if all(alone.versions.version(name) in (None, version) for name, version in wanted.items()):
            return alone
        return replace(self._over_pins(request, target, {**wanted, **keep}), apart=alone.versions)

    def _over_pins(self, request: ResolveRequest, target: Target, prefer: Mapping[str, str]) -> _Answer:
        """First without the pins from below: an answer that agrees with them is the answer."""
        below = request.below(target)
        free, uv = None, self._counting(request, target)
        if below:
            try:
                free = resolve_versions(request, target, uv, constraints=request.pins, prefer=prefer)
            except UvFailed as error:
                if is_outage(error):
                    raise
            if free is not None and not disagreements(free, below):
                return _Answer(versions=free)
        constraints = request.constraints()
        try:
            found = resolve_versions(request, target, uv, constraints=constraints, prefer=prefer)
            return _Answer(versions=found, free=free)
        except UvFailed as error:
            if free is None or is_outage(error) or target not in request.required:
                raise
            raise explained(request, error, target, disagreements(free, below)) from error

    def _counting(self, request: ResolveRequest, target: Target) -> Uv:
        """A uv whose resolution is shown while it lasts."""

        def on_packages(count: int) -> None:
            self.reporter.progress(request.title, f"resolving for {target}", count, unit=Unit.PACKAGES)

        if target == request.required[0]:  # the others run beside each other
            on_packages(0)
            return replace(self.uv, on_packages=on_packages)
        return self.uv

    def _documents(self, request: ResolveRequest, versions: Mapping[Target, Versions]) -> dict[str, dict[str, Any]]:
        try:
            return documents(request, versions, self.uv)
        except UvFailed as error:
            raise explained(request, error) from error

    def _failure(self, request: ResolveRequest, error: UvFailed, target: Target) -> Exception:
        """The error to raise. uv names the first package without a wheel, so all that lack one are looked for."""
        if is_about_wheels(error) and not is_outage(error):
            try:
                found = any_machine(request, self.uv)
            except UvFailed:
                return explained(request, error, target)
            versions = dict.fromkeys(request.required, Versions(pins={}, parents={}))
            missing = list(_misfits(request, Solution(documents=found, versions=versions)))
            possible = self._possible(request, {target}) if missing else []
            missing = [one for one in missing if one.target not in possible]
            if missing:
                return MissingWheels(self._without_older(request, missing) or missing, possible)
        return explained(request, error, target)

    def _without_older(self, request: ResolveRequest, missing: Sequence[NoWheel]) -> list[NoWheel]:
        """Those of which no older version that the layers accept has a wheel: the others are not what is missing."""

        def has_older(one: NoWheel) -> bool:
            own = [text for layer in request.layers for text in layer.requirements]
            wanted = [text for text in own if required_name(text) == one.package.name]
            layer = replace(one.layer, requirements=(*wanted, f"{one.package.name}<{one.package.version}"))
            alone = replace(request, layers=(layer,), dependencies=(), keep={})
            return self.alone([alone], one.target) != [None]

        with ThreadPoolExecutor(_AT_A_TIME) as pool, self.uv.cancel.set_after(errors=False):
            return [one for one, older in zip(missing, pool.map(has_older, missing), strict=True) if not older]

    def _possible(self, request: ResolveRequest, gone: Collection[Target]) -> list[Target]:
        """The other targets for which the layers can be locked."""
        others = [target for target in (*request.required, *request.optional) if target not in gone]
        with ThreadPoolExecutor(_AT_A_TIME) as pool, self.uv.cancel.set_after(errors=False):
            possible = pool.map(partial(self._can, request), others)
            return [target for target, can in zip(others, possible, strict=True) if can]

    def _can(self, request: ResolveRequest, target: Target) -> bool:
        layers = tuple(layer for layer in request.layers if target in layer.targets)
        try:
            self.solve(replace(request, layers=layers, required=(target,), optional=()))
        except LockError:
            return False
        return True


def _misfits(request: ResolveRequest, solution: Solution) -> Iterator[NoWheel]:
    """The packages without a wheel that their own layer allows; what a layer below provides is that layer's matter."""
    python = request.python.pin.version
    below = {target: request.below(target) for target in solution.versions}
    seen: dict[str, set[tuple[str, str]]] = {}
    for layer in request.layers:
        packages = [parse_package(table) for table in solution.documents[layer.env_name]["packages"]]
        seen[layer.env_name] = {(package.name, package.version) for package in packages}
        provided = {one for low in request.spec.dependencies(layer) for one in seen.get(low.env_name, ())}
        for package in packages:
            if (package.name, package.version) in provided:
                continue
            targets = [one for one in solution.versions if one in layer.targets and holds(package.marker, one, python)]
            targets = [one for one in targets if below[one].get(package.name, ("",))[0] != package.version]
            for target in missing_targets(package, layer, targets, python):
                yield NoWheel(layer=layer, package=package, target=target, python=python)
