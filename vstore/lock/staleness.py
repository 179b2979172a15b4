"""Whether a lock still answers its question, and if not, why.

A lock that vstore wrote says what it was made from; one that venvstacks wrote is judged by venvstacks' rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vstore.digest import hash_json
from vstore.lock.lockfile import read_lock
from vstore.lock.metadata import lock_input_hash, other_inputs_hash, version_inputs_hash
from vstore.lock.model import LockedLayer
from vstore.objects import Kind
from vstore.spec import Layer, Spec
from vstore.spec.lockfiles import record_path

_REASONS = {
    "requirements": "requirements changed since it was locked",
    "python": "the runtime's Python changed since it was locked",
    "targets": "platforms changed since it was locked",
    "settings": "uv settings or package indexes changed since it was locked",
    "lower": "a layer below was locked anew",
}


def inputs(spec: Spec, layer: Layer, dependencies: Mapping[str, str]) -> dict[str, Any]:
    """All that a lock is made from; `dependencies` gives the digest of each lock below, by env name."""
    version = (runtime_of(spec, layer).python_implementation or "").partition("@")[2]
    settings = {
        "uv": spec.uv,
        "linux_target": layer.glibc if any(target.is_linux for target in layer.targets) else None,
        "macosx_target": layer.macos if any(target.is_macosx for target in layer.targets) else None,
        "package_indexes": dict(layer.package_indexes),
        "index_overrides": dict(layer.index_overrides),
        "priority_indexes": list(layer.priority_indexes),
    }
    return {
        "requirements": sorted(layer.requirements),
        "python": ".".join(version.split(".")[:2]),
        "targets": [str(target) for target in layer.targets],
        "settings": str(hash_json("lock settings 1", _plain(settings))),
        "lower": dict(dependencies),
    }


def runtime_of(spec: Spec, layer: Layer) -> Layer:
    """The runtime that a layer is, or sits on."""
    return spec.dependencies(layer)[-1] if layer.kind != Kind.RUNTIME else layer


def _plain(value: Any) -> Any:
    """TOML values as JSON ones: dates become text."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def check(spec: Spec, *, numbers: bool = True) -> dict[str, str | None]:
    """By env name, why each layer's lock is stale; None for a valid one. A lock above a stale one is stale.

    A versioned layer of which only the number is out of date is stale itself (unless `numbers` do not matter), and no
    layer above it is.
    """
    result: dict[str, str | None] = {}
    digests: dict[str, str] = {}
    resolved: set[str] = set()
    for layer in spec.layers:
        if not layer.targets:
            continue
        name, locked = layer.env_name, read_lock(spec, layer)
        why = reason(spec, layer, locked, digests)
        stale_below = [low.env_name for low in spec.dependencies(layer) if low.env_name not in resolved]
        if stale_below and locked is not None:
            why = f"the lock of {stale_below[0]} below is stale"
        if why is None:
            resolved.add(name)
        result[name] = why or (number_reason(spec, layer, locked) if locked and numbers else None)
        if locked is not None:
            digests[name] = locked.digest
    return result


def reason(spec: Spec, layer: Layer, locked: LockedLayer | None, digests: Mapping[str, str]) -> str | None:
    """Why one layer must be resolved, given the digests of the locks below; None if its pins are valid."""
    if locked is None:
        return "not locked yet"
    if locked.inputs is None:
        return _foreign_reason(spec, layer, locked)
    if locked.edited:
        return f"{locked.path.name} was edited by hand"
    dependencies = {low.env_name: digests.get(low.env_name, "") for low in spec.dependencies(layer)}
    wanted = inputs(spec, layer, dependencies)
    for key, sentence in _REASONS.items():
        if wanted[key] != locked.inputs.get(key):
            return sentence
    if any(target in locked.findings.left_out for target in spec.required(layer)):
        return _REASONS["targets"]
    if layer.kind == Kind.RUNTIME:
        assert layer.python_implementation is not None
        if locked.interpreter is None or not locked.interpreter.satisfies(layer.python_implementation):
            return _REASONS["python"]
    return None


def _foreign_reason(spec: Spec, layer: Layer, locked: LockedLayer) -> str | None:
    """venvstacks' rules. The layers below take part by their names; that they are valid is looked at elsewhere."""
    record = locked.record
    if record is None:
        return f"{locked.path.name} has no {record_path(spec, layer).name} beside it"
    if record.lock_input_hash != lock_input_hash(layer):
        return _REASONS["requirements"]
    if record.other_inputs_hash != other_inputs_hash(spec, layer):
        return "Python's version, the lowest system or the layers below changed since it was locked"
    if record.requirements_hash != locked.content_hash:
        return f"{locked.path.name} was edited by hand"
    return None


def number_reason(spec: Spec, layer: Layer, locked: LockedLayer) -> str | None:
    """Why a versioned layer with valid pins needs another number; None if it does not."""
    if not layer.versioned:
        return None
    if locked.record is None:
        return f"versioned, and there is no {record_path(spec, layer).name}"
    if locked.record.version_inputs_hash != version_inputs_hash(spec, layer):
        return "versioned, and its modules changed since it was locked"
    return None
