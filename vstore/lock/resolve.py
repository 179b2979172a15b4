"""Locking: each layer resolved by uv under the pins of the layers below, for all its targets at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from vstore.errors import LockError
from vstore.lock.companions import write_companions
from vstore.lock.edit import MissingWheels, edited
from vstore.lock.explain import check_requirements, explained, lacks_wheels
from vstore.lock.joint import suiting
from vstore.lock.lockfile import read_document, read_lock, read_locks, write_interpreter, write_lock
from vstore.lock.model import LockedLayer, LockWish, PythonForLocking
from vstore.lock.project import Question, lower_pins, resolve
from vstore.lock.staleness import check, inputs, reason
from vstore.objects import Kind
from vstore.report import Report
from vstore.spec import Layer, Spec
from vstore.spec.select import Operation, Selection
from vstore.uv import Uv, UvFailed


def lock(
    spec: Spec,
    selection: Selection,
    wish: LockWish,
    *,
    uv: Uv,
    pythons: Mapping[str, PythonForLocking],
    report: Report,
) -> tuple[LockedLayer, ...]:
    """Lock the selected layers, lowest first, and return their locks; `pythons` is by runtime name.

    Old pins are kept where they still fit, unless upgraded or reset. Raises LockError; locks of the layers below the
    failing one are complete by then.
    """
    locker = _Locker(spec, selection, wish, uv, pythons, report)
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
        wish: LockWish,
        uv: Uv,
        pythons: Mapping[str, PythonForLocking],
        report: Report,
    ) -> None:
        self.spec = spec
        self.selection = selection
        self.wish = wish
        self.uv = uv
        self.pythons = pythons
        self.report = report
        self.done: dict[str, LockedLayer] = {}
        self.joint = self._joint()

    def _joint(self) -> dict[str, Mapping[str, str]]:
        """By env name, for layers to resolve jointly (all over a runtime where one must be), the versions to keep."""
        olds = {one.env_name: one for one in read_locks(self.spec, without=self.selection.resets)}
        found: dict[str, Mapping[str, str]] = {}
        for runtime in self.spec.layers:
            tree = [one for one in self.spec.layers if one.targets and runtime.name == (one.runtime or one.name)]
            if runtime.kind != Kind.RUNTIME or not any(self.selection.locks(one) for one in tree):
                continue
            locked = [olds[one.env_name] for one in tree if one.env_name in olds]
            joint = any(one.joint for one in locked) if self.wish.joint is None else self.wish.joint
            if joint and self._must_any(tree, locked):
                keep = {} if self.wish.upgrade else _keepable(locked, self.wish.upgrade_packages)
                found |= {one.env_name: keep for one in tree}
        return found

    def _must_any(self, tree: Sequence[Layer], locked: Sequence[LockedLayer]) -> bool:
        asked = any(Operation.LOCK in self.selection.of(one) for one in tree)
        if asked or len(locked) < len(tree) or not all(one.joint for one in locked):
            return True
        reasons = check(self.spec, numbers=False)
        return any(reasons[one.env_name] for one in tree)

    def one(self, layer: Layer) -> None:
        """Resolve the layer if it must be; its companions are brought up to date in any case."""
        lowers = [self._lower(layer, low) for low in self.spec.lower(layer)]
        digests = {one.env_name: one.packages_digest for one in lowers}
        operations = self.selection.of(layer)
        old = None if Operation.RESET_LOCK in operations else read_lock(self.spec, layer)
        python = self.pythons[layer.runtime or layer.name]
        joint = layer.env_name in self.joint
        if joint or old is None or self._must(layer, old, digests):
            self.report.stage(layer.env_name, "resolving")
            question = self._question(layer, lowers, python)
            answer = self._joint_answer(question) if joint else self._answer(question, self._keep(old))
            pin = python.pin if layer.kind == Kind.RUNTIME else None
            write_lock(self.spec, layer, answer, inputs(self.spec, layer, digests), pin, joint=joint)
        elif layer.kind == Kind.RUNTIME and old.inputs is None:
            write_interpreter(self.spec, layer, python.pin)
        document, now = read_document(self.spec, layer), datetime.now(UTC)
        assert document is not None
        write_companions(self.spec, layer, document, environment=self.uv.environment, now=now)
        locked = read_lock(self.spec, layer)
        assert locked is not None
        self.done[layer.env_name] = locked

    def _must(self, layer: Layer, old: LockedLayer, digests: Mapping[str, str]) -> bool:
        asked = Operation.LOCK in self.selection.of(layer) or (old.joint and self.wish.joint is False)
        return asked or reason(self.spec, layer, old, digests) is not None

    def _keep(self, old: LockedLayer | None) -> Mapping[str, str]:
        return {} if self.wish.upgrade or old is None else _keepable([old], self.wish.upgrade_packages)

    def _lower(self, layer: Layer, low: Layer) -> LockedLayer:
        """The lock of a layer below: just made, or there and valid."""
        if low.env_name not in self.done:
            below = {one.env_name: self._lower(low, one).packages_digest for one in self.spec.lower(low)}
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

    def _question(self, layer: Layer, lowers: Sequence[LockedLayer], python: PythonForLocking) -> Question:
        return Question(
            spec=self.spec,
            layer=layer,
            lowers=lowers,
            python=python,
            local_wheels=self.wish.local_wheels,
            index=self.wish.index,
        )

    def _joint_answer(self, question: Question) -> dict[str, Any]:
        """An answer that suits the layers it shares a stack with; of these, what is locked by now is fixed."""
        keep = self.joint[question.layer.env_name]

        def answer(asked: Question) -> dict[str, Any]:
            done = [self.done[one.env_name] for one in asked.above if one.env_name in self.done]
            fixed = [pin for one in done for pin, _ in lower_pins([one])]
            return self._answer(replace(asked, pins=(*asked.pins, *fixed)), keep)

        return suiting(question, answer)

    def _answer(self, question: Question, keep: Mapping[str, str]) -> dict[str, Any]:
        """The edited lock document. The versions in `keep` are preferred wherever the resolution allows them."""
        check_requirements(question)
        try:
            return self._resolved(question, keep)
        except MissingWheels:
            if not keep:
                raise
            return self._resolved(question, {})

    def _resolved(self, question: Question, keep: Mapping[str, str]) -> dict[str, Any]:
        try:
            return edited(question, resolve(question, self.uv, keep))
        except UvFailed as error:
            if not lacks_wheels(error):
                raise explained(question, error) from error
            first = error
        try:  # uv names the first package without a wheel; asked less strictly, its answer tells all of them
            return edited(question, resolve(replace(question, strict=False), self.uv, keep))
        except UvFailed as error:
            raise explained(question, first) from error


def _keepable(olds: Sequence[LockedLayer], upgrade_packages: Sequence[str]) -> dict[str, str]:
    """The versions that uv shall prefer, by name; a name locked at several versions is left to uv."""
    from packaging.utils import canonicalize_name

    upgraded = {canonicalize_name(name) for name in upgrade_packages}
    versions: dict[str, set[str]] = {}
    for package in (package for old in olds for package in old.packages):
        if not package.shared and canonicalize_name(package.name) not in upgraded:
            versions.setdefault(package.name, set()).add(package.version)
    return {name: found.pop() for name, found in versions.items() if len(found) == 1}
