"""The members of a stack, as outputs describe them: from a spec and its locks, or from a stack in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from fnmatch import fnmatchcase
from typing import NamedTuple, Self

from vstore.build.layer_metadata import read_metadata
from vstore.errors import LockError, NotFoundError, UsageError, suggestion
from vstore.lock.lockfile import read_lock
from vstore.lock.record import module_hash, read_record, requirements_hash
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.profile import read_stack
from vstore.publish.records import LAYER_KINDS, MemberRecord
from vstore.spec import Layer, Spec
from vstore.spec.lockfiles import record_path
from vstore.store import Store
from vstore.target import Target
from vstore.values import frozen, replace


class PlacedObject(NamedTuple):
    """A layer, an interpreter or a stack, and its object; `path` is None in a dry run, before the object is built."""

    name: str
    kind: Kind
    path: StorePath | None


@frozen
class Member:
    """A layer, an interpreter or a stack to write to an output.

    `deployed_name` is its name, with ``@N`` if it is versioned. `dependencies` are the names of the layers below,
    nearest first, the runtime last. `fields` are the fields of its record that do not depend on the output.
    """

    name: str
    kind: Kind
    path: StorePath | None
    deployed_name: str
    dependencies: tuple[str, ...] = ()
    fields: MemberRecord

    @property
    def is_layer(self) -> bool:
        """Whether it is a runtime, a framework or an application."""
        return self.kind in LAYER_KINDS

    def record(self, info: ObjectInfo | None, folder: str | None, folders: Mapping[str, str | None]) -> MemberRecord:
        """Return the part of the member's record that all outputs share.

        `folder` is where the output puts the member, `folders` where it puts layers, by name.
        """
        record: MemberRecord = {**self.fields, "layer_name": self.name, "install_target": folder}
        if self.kind == Kind.RUNTIME:
            record["runtime_layer"] = folder
        elif self.dependencies:
            record["runtime_layer"] = folders.get(self.dependencies[-1])
            record["required_layers"] = [folders.get(name) for name in self.dependencies[:-1]]
        record["vstore"] = {
            "store_path": str(self.path) if self.path else None,
            "digest": str(info.digest) if info else None,
            "kind": str(self.kind),
            "name": self.deployed_name,
            "references": [str(path) for path in info.references] if info else [],
        }
        return record


@frozen
class StackMembers:
    """The members of a stack; `only` are the names of the selected layers, None for all."""

    members: tuple[Member, ...]
    only: frozenset[str] | None = None

    def matching(self, patterns: Sequence[str], *, allow_missing: bool = False) -> Self:
        """Select the layers that match any of the shell-style patterns; all of them if there are no patterns.

        Raises UsageError for a pattern that matches no layer.
        """
        if not patterns:
            return self
        names = [member.name for member in self.members if member.is_layer]
        for pattern in patterns:
            if not allow_missing and not any(fnmatchcase(name, pattern) for name in names):
                raise UsageError(
                    f"--include {pattern}: no such layer",
                    hint=f"{suggestion(pattern, names)}layers: {', '.join(names)}",
                )
        selected = frozenset(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))
        return replace(self, only=selected)

    def selected(self, *, below: bool) -> tuple[Member, ...]:
        """Return the members to write: all of them, or the selected layers.

        With `below`, the layers below selected ones and the interpreters come with them.
        """
        if self.only is None:
            return self.members
        names = set(self.only)
        if below:
            names.update(name for one in self.members if one.name in self.only for name in one.dependencies)
        return tuple(
            one
            for one in self.members
            if (one.is_layer and one.name in names) or (below and one.kind == Kind.INTERPRETER)
        )


def members_of_spec(spec: Spec, target: Target, placed: Iterable[PlacedObject]) -> tuple[Member, ...]:
    """Describe the realised members of a spec by the spec and its locks."""
    layers = {layer.env_name: layer for layer in spec.layers}
    return tuple(
        _member_of_layer(spec, target, layers[one.name], one.path)
        if one.kind in LAYER_KINDS
        else Member(name=one.name, kind=one.kind, path=one.path, deployed_name=one.name, fields={})
        for one in placed
    )


def _member_of_layer(spec: Spec, target: Target, layer: Layer, path: StorePath | None) -> Member:
    fields: MemberRecord = {
        **_lock_fields(spec, layer),
        "python_implementation": _implementation(spec, layer),
        "bound_to_implementation": layer.kind == Kind.RUNTIME or target.is_windows,
    }
    if layer.launch_module is not None:
        fields["app_launch_module"] = layer.launch_module.stem
        fields["app_launch_module_hash"] = module_hash(spec, layer.launch_module)
    if layer.support_modules:
        fields["app_support_modules"] = [
            {"name": module.stem, "hash": module_hash(spec, module)} for module in layer.support_modules
        ]
    return Member(
        name=layer.env_name,
        kind=layer.kind,
        path=path,
        deployed_name=f"{layer.env_name}@{fields['lock_version']}" if layer.versioned else layer.env_name,
        dependencies=layer.dependency_names,
        fields=fields,
    )


def _implementation(spec: Spec, layer: Layer) -> str:
    """Return the Python as in the spec; the locked version of a range, for which venvstacks has no form."""
    locked = read_lock(spec, layer.runtime) if layer.python.is_range else None
    pin = locked.interpreter if locked else None
    return f"{pin.implementation}@{pin.version}" if pin else str(layer.python)


def _lock_fields(spec: Spec, layer: Layer) -> MemberRecord:
    """Return the fields of a record that come from the lock record, or from the lock if there is none."""
    record = read_record(record_path(spec, layer))
    if record is not None:
        return {
            "requirements_hash": record.requirements_hash,
            "lock_version": record.lock_version,
            "locked_at": record.locked_at.astimezone(UTC).isoformat(),
        }
    try:
        locked = read_lock(spec, layer)
        hashed = None if locked is None else requirements_hash(locked.packages)
    except LockError:
        hashed = None
    return {"requirements_hash": hashed, "lock_version": 1, "locked_at": None}


def members_of_stack(store: Store, stack: StorePath) -> StackMembers:
    """Describe the members of a stack by their objects, without the locks. Raises StoreError if it is not a stack."""
    layers = [PlacedObject(one.name, one.kind, one.path) for one in read_stack(store.layout.object(stack)).layers]
    names = {one.path: one.name for one in layers if one.kind in LAYER_KINDS}
    members = [_member_of_object(store, one, names) for one in layers]
    members.append(Member(name=stack.name, kind=Kind.STACK, path=stack, deployed_name=stack.name, fields={}))
    return StackMembers(members=tuple(members))


def _member_of_object(store: Store, placed: PlacedObject, names: Mapping[StorePath | None, str]) -> Member:
    fields: MemberRecord = {}
    dependencies: Sequence[str] = ()
    if placed.kind in LAYER_KINDS and placed.path is not None:
        metadata = read_metadata(store.layout.object(placed.path))
        recipe = store.manifest(placed.path)[1].get("recipe_text")
        recipe = recipe if isinstance(recipe, dict) else {}  # metadata from elsewhere may be anything
        try:
            below = [StorePath.parse(path) for path in recipe["lowers"]]
        except (KeyError, TypeError, ValueError):
            below = []
        dependencies = [names[path] for path in below or _references(store, placed.path) if path in names]
        fields["bound_to_implementation"] = placed.kind == Kind.RUNTIME or metadata.target.is_windows
        fields["python_implementation"] = f"cpython@{metadata.python}"
        if metadata.launch_module is not None:
            fields["app_launch_module"] = metadata.launch_module
    return Member(
        name=placed.name,
        kind=placed.kind,
        path=placed.path,
        deployed_name=placed.name,
        dependencies=tuple(dependencies),
        fields=fields,
    )


def _references(store: Store, path: StorePath) -> list[StorePath]:
    """Return the references of a layer, the runtime last. Without a recipe their order is not known."""
    info = store.objects.info(path)
    found = [(store.objects.info(reference), reference) for reference in (info.references if info else ())]
    return [reference for _, reference in sorted(found, key=lambda one: (_is_runtime(one[0]), one[1]))]


def _is_runtime(info: ObjectInfo | None) -> bool:
    return info is not None and info.kind == Kind.RUNTIME


def members_of_objects(store: Store, paths: Iterable[StorePath]) -> StackMembers:
    """Describe any objects of the store by their index entries. Raises NotFoundError for one that is not there."""
    members = []
    for path in paths:
        info = store.objects.info(path)
        if info is None:
            raise NotFoundError(f"not in the store: {path}", hint="`vstore list` lists the objects")
        members.append(Member(name=path.name, kind=info.kind, path=path, deployed_name=path.name, fields={}))
    return StackMembers(members=tuple(members))
