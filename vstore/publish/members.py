"""Finding out what is to be published: from a spec and its locks, or from a stack that is in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from fnmatch import fnmatchcase

from vstore import objects
from vstore.build.layer_metadata import read_facts
from vstore.errors import LockError, UsageError
from vstore.lock.lockfile import read_document
from vstore.lock.metadata import module_hash, read_record, requirements_hash
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.profile import read_stack
from vstore.publish.model import LAYER_KINDS, Member, PlacedObject
from vstore.spec import Layer, Spec
from vstore.spec.lockfiles import record_path
from vstore.store import Store
from vstore.target import Target


def members_of_spec(spec: Spec, target: Target, placed: Iterable[PlacedObject]) -> tuple[Member, ...]:
    """What a spec's realised layers are called and what their locks say of them; others keep their label."""
    layers = {layer.env_name: layer for layer in spec.layers}
    return tuple(
        _of_layer(spec, target, layers[one.name], one)
        if one.kind in LAYER_KINDS
        else Member(name=one.name, kind=one.kind, path=one.path, deployed=one.name)
        for one in placed
    )


def _of_layer(spec: Spec, target: Target, layer: Layer, placed: PlacedObject) -> Member:
    dependencies = spec.dependencies(layer)
    runtime = dependencies[-1] if dependencies else layer
    facts: dict[str, object] = {
        **lock_facts(spec, layer),
        "python_implementation": runtime.python_implementation,
        "bound_to_implementation": layer.kind == Kind.RUNTIME or target.is_windows,
    }
    if layer.launch_module is not None:
        facts["app_launch_module"] = layer.launch_module.stem
        facts["app_launch_module_hash"] = module_hash(spec, layer.launch_module)
    if layer.support_modules:
        facts["app_support_modules"] = [
            {"name": module.stem, "hash": module_hash(spec, module)} for module in layer.support_modules
        ]
    return Member(
        name=layer.env_name,
        kind=layer.kind,
        path=placed.path,
        deployed=f"{layer.env_name}@{facts['lock_version']}" if layer.versioned else layer.env_name,
        dependencies=tuple(low.env_name for low in dependencies),
        facts=facts,
    )


def lock_facts(spec: Spec, layer: Layer) -> dict[str, object]:
    """`requirements_hash`, `lock_version` and `locked_at` of a lock; of one without a record as far as it says."""
    record = read_record(record_path(spec, layer))
    if record is not None:
        locked_at = record.locked_at.astimezone(UTC).isoformat()
        return {
            "requirements_hash": record.requirements_hash,
            "lock_version": record.lock_version,
            "locked_at": locked_at,
        }
    try:
        document = read_document(spec, layer)
        hashed = None if document is None else requirements_hash(document)
    except (LockError, ValueError, KeyError):
        hashed = None
    return {"requirements_hash": hashed, "lock_version": 1, "locked_at": None}


def members_of_stack(store: Store, stack: StorePath) -> tuple[Member, ...]:
    """The layers of a stack in the store, and the stack. StoreError if it is none.

    Only what the objects themselves say is known: nothing of the lock they were made from.
    """
    layers = [PlacedObject(one.name, one.kind, one.path) for one in read_stack(store.layout.object(stack)).layers]
    names = {one.path: one.name for one in layers if one.kind in LAYER_KINDS}
    found = [_of_object(store, one, names) for one in layers]
    return (*found, Member(name=stack.name, kind=Kind.STACK, path=stack, deployed=stack.name))


def _of_object(store: Store, placed: PlacedObject, names: Mapping[StorePath | None, str]) -> Member:
    facts: dict[str, object] = {}
    dependencies: Sequence[str] = ()
    if placed.kind in LAYER_KINDS and placed.path is not None:
        said = read_facts(store.layout.object(placed.path))
        recipe = store.manifest(placed.path)[1].get("recipe_text")
        recipe = recipe if isinstance(recipe, dict) else {}  # an object that came from elsewhere may have none
        try:
            below = [StorePath.parse(path) for path in recipe["lowers"]]
        except (KeyError, TypeError, ValueError):  # metadata from elsewhere may be anything
            below = []
        dependencies = [names[path] for path in below or _below(store, placed.path) if path in names]
        facts["bound_to_implementation"] = placed.kind == Kind.RUNTIME or str(recipe.get("target")).startswith("win_")
        facts["python_implementation"] = f"cpython@{said.python}"
        if said.launch_module is not None:
            facts["app_launch_module"] = said.launch_module
    return Member(
        name=placed.name,
        kind=placed.kind,
        path=placed.path,
        deployed=placed.name,
        dependencies=tuple(dependencies),
        facts=facts,
    )


def _below(store: Store, path: StorePath) -> list[StorePath]:
    """What a layer refers to, the runtime last: all that is known of the order where there is no recipe."""
    info = store.index.info(path)
    found = [(store.index.info(reference), reference) for reference in (info.references if info else ())]
    return [reference for _, reference in sorted(found, key=lambda one: (_is_runtime(one[0]), one[1]))]


def _is_runtime(info: ObjectInfo | None) -> bool:
    return info is not None and info.kind == Kind.RUNTIME


def matching(members: Sequence[Member], patterns: Sequence[str], *, allow_missing: bool = False) -> frozenset[str]:
    """The names of the layers that match any of the shell-style patterns. UsageError for one that matches none."""
    names = [member.name for member in members if member.is_layer]
    for pattern in patterns:
        if not allow_missing and not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(f"--include {pattern}: no such layer", hint=f"layers: {', '.join(names)}")
    return frozenset(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))


def bottom_up(store: Store, paths: Iterable[StorePath]) -> list[StorePath]:
    """The objects and all that they refer to, each after what it refers to; the same order every time."""
    infos = {path: store.index.info(path) for path in store.closure(paths)}
    return objects.bottom_up({path: info.references if info else () for path, info in infos.items()})
