"""Whether a lock still answers its question, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vstore.digest import hash_json
from vstore.lock.lockfile import lock_path, read_lock
from vstore.lock.model import LockedLayer
from vstore.objects import Kind
from vstore.spec import Layer, Spec

_REASONS = {
    "requirements": "requirements changed since it was locked",
    "python": "the runtime's Python changed since it was locked",
    "targets": "platforms changed since it was locked",
    "settings": "uv settings or package indexes changed since it was locked",
    "lower": "a layer below was locked anew",
}


def inputs(spec: Spec, layer: Layer, lowers: Mapping[str, str]) -> dict[str, Any]:
    """All that a lock is made from; `lowers` gives the packages digest of each layer below, by env name."""
    version = (runtime_of(spec, layer).python_implementation or "").partition("@")[2]
    settings = {
        "uv": spec.uv,
        "linux_target": layer.linux_target,
        "macosx_target": layer.macosx_target,
        "package_indexes": dict(layer.package_indexes),
        "index_overrides": dict(layer.index_overrides),
        "priority_indexes": list(layer.priority_indexes),
    }
    return {
        "requirements": sorted(layer.requirements),
        "python": ".".join(version.split(".")[:2]),
        "targets": [str(target) for target in layer.targets],
        "settings": str(hash_json("lock settings 1", _plain(settings))),
        "lower": dict(lowers),
    }


def runtime_of(spec: Spec, layer: Layer) -> Layer:
    """The runtime that a layer is, or sits on."""
    return spec.lower(layer)[-1] if layer.kind != Kind.RUNTIME else layer


def _plain(value: Any) -> Any:
    """TOML values as JSON ones: dates become text."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def check(spec: Spec) -> dict[str, str | None]:
    """By env name, why each layer's lock is stale; None for a valid one. A lock above a stale one is stale."""
    result: dict[str, str | None] = {}
    digests: dict[str, str] = {}
    for layer in spec.layers:
        if not layer.targets:
            continue
        locked = read_lock(spec, layer)
        stale_below = [low.env_name for low in spec.lower(layer) if result.get(low.env_name)]
        if stale_below and locked is not None:
            result[layer.env_name] = f"the lock of {stale_below[0]} below is stale"
        else:
            result[layer.env_name] = reason(spec, layer, locked, digests)
        if locked is not None:
            digests[layer.env_name] = locked.packages_digest
    return result


def reason(spec: Spec, layer: Layer, locked: LockedLayer | None, digests: Mapping[str, str]) -> str | None:
    """Why one layer's lock is stale, given the packages digests of the locks below; None if it is valid."""
    if locked is None:
        return "not locked yet"
    if locked.inputs is None:
        return f"{lock_path(spec, layer).name} was not written by vstore"
    if locked.edited:
        return f"{lock_path(spec, layer).name} was edited by hand"
    lowers = {low.env_name: digests.get(low.env_name, "") for low in spec.lower(layer)}
    wanted = inputs(spec, layer, lowers)
    for key, sentence in _REASONS.items():
        if wanted[key] != locked.inputs.get(key):
            return sentence
    if layer.kind == Kind.RUNTIME:
        assert layer.python_implementation is not None
        if locked.interpreter is None or not locked.interpreter.satisfies(layer.python_implementation):
            return _REASONS["python"]
    return None
