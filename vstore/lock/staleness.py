"""Whether locks are still valid, and if not, why.

A lock that vstore wrote records its inputs; one that venvstacks wrote is judged by venvstacks' rules.
"""

from __future__ import annotations

from collections.abc import Mapping

from vstore.digest import hash_json
from vstore.lock.model import LockedLayer, LockInputs
from vstore.lock.project import Project
from vstore.lock.record import lock_input_hash, other_inputs_hash, version_inputs_hash
from vstore.objects import Kind
from vstore.python_version import feature_version
from vstore.spec import Layer, Spec
from vstore.spec.lockfiles import record_path

_PYTHON = "the runtime's Python changed since it was locked"  # part of the digest of the runtime's lock
_REASONS = {
    "requirements": "requirements changed since it was locked",
    "targets": "platforms changed since it was locked",
    "settings": "uv settings or package indexes changed since it was locked",
    "dependencies": "a layer below was locked anew",
}


def lock_inputs(spec: Spec, layer: Layer, python: str, dependencies: Mapping[str, str]) -> LockInputs:
    """Return the inputs of a layer's lock for a feature version, given the digests of the locks below by env name."""
    settings = {
        "uv": spec.uv,
        "linux_target": layer.glibc if any(target.is_linux for target in layer.targets) else None,
        "macosx_target": layer.macos if any(target.is_macosx for target in layer.targets) else None,
        "package_indexes": dict(layer.package_indexes),
        "index_overrides": dict(layer.index_overrides),
        "priority_indexes": list(layer.priority_indexes),
    }
    return LockInputs(
        requirements=tuple(sorted(layer.requirements)),
        python=python,
        targets=tuple(map(str, layer.targets)),
        settings=str(hash_json("lock settings 1", _plain(settings))),
        dependencies=dict(dependencies),
    )


def _plain(value: object) -> object:
    """Turn TOML values into JSON values: dates become text."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def stale_reasons(project: Project, *, numbers: bool = True) -> dict[str, str | None]:
    """Return by env name why each layer's lock is stale, None for a valid one. A lock above a stale one is stale.

    If only the number of a versioned layer is out of date, that layer alone is stale, and not without `numbers`.
    """
    spec = project.spec
    reasons: dict[str, str | None] = {}
    digests: dict[str, str] = {}
    valid: set[str] = set()
    for layer in spec.layers:
        if not layer.targets:
            continue
        name, locked = layer.env_name, project.lock(layer)
        reason = stale_reason(spec, layer, locked, digests)
        stale_below = [below for below in layer.dependency_names if below not in valid]
        if stale_below and locked is not None:
            reason = f"the lock of {stale_below[0]} below is stale"
        if reason is None:
            valid.add(name)
        reasons[name] = reason or (number_reason(spec, layer, locked) if locked and numbers else None)
        if locked is not None:
            digests[name] = locked.digest
    return reasons


def stale_reason(spec: Spec, layer: Layer, locked: LockedLayer | None, digests: Mapping[str, str]) -> str | None:
    """Return why a layer must be resolved, given the digests of the locks below; None if its versions are valid."""
    if locked is None:
        return "not locked yet"
    if locked.inputs is None:
        return _venvstacks_reason(spec, layer, locked)
    if locked.edited:
        return f"{locked.path.name} was edited by hand"
    dependencies = {name: digests.get(name, "") for name in layer.dependency_names}
    wanted = lock_inputs(spec, layer, locked.inputs.python, dependencies)
    for field, reason in _REASONS.items():
        if getattr(wanted, field) != getattr(locked.inputs, field):
            return reason
    if any(target in locked.findings.left_out for target in spec.required_targets(layer)):
        return _REASONS["targets"]
    pin = locked.interpreter
    if layer.kind == Kind.RUNTIME and (pin is None or not pin.satisfies(layer.python)):
        return _PYTHON
    return None


def _venvstacks_reason(spec: Spec, layer: Layer, locked: LockedLayer) -> str | None:
    """Judge a lock by venvstacks' rules. Only the names of the layers below are compared here."""
    record = locked.record
    if record is None:
        return f"{locked.path.name} has no {record_path(spec, layer).name} beside it"
    if record.lock_input_hash != lock_input_hash(layer):
        return _REASONS["requirements"]
    if record.other_inputs_hash != other_inputs_hash(layer, feature_version(layer.python.version)):
        return "Python's version, the oldest system or the layers below changed since it was locked"
    if record.requirements_hash != locked.content_hash:
        return f"{locked.path.name} was edited by hand"
    return None


def number_reason(spec: Spec, layer: Layer, locked: LockedLayer) -> str | None:
    """Return why a versioned layer with valid versions needs another number; None if it does not."""
    if not layer.versioned:
        return None
    if locked.record is None:
        return f"versioned, and there is no {record_path(spec, layer).name}"
    if locked.record.version_inputs_hash != version_inputs_hash(spec, layer):
        return "versioned, and its modules changed since it was locked"
    return None
