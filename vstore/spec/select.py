"""Selecting the layers of a command, and its operations on each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType

from vstore.errors import UsageError, suggestion
from vstore.spec.model import Layer, Spec
from vstore.target import Target
from vstore.values import frozen


class Operation(StrEnum):
    """An operation on a layer, by venvstacks' names."""

    RESET_LOCK = "reset-lock"
    LOCK = "lock"
    LOCK_IF_NEEDED = "lock-if-needed"
    BUILD = "build"
    BUILD_IF_NEEDED = "build-if-needed"


@frozen
class SelectionRequest:
    """The patterns of a command, and how it treats the layers below and above those that match.

    `lock` is None for a command that never locks. `dependencies` True treats the layers below like the included ones,
    None locks and builds them as far as needed, False leaves them out. `dependents` includes the layers above, which
    locking always does. Locks of layers that match `reset` are made without regard to their old versions.
    """

    include: tuple[str, ...] = ()
    allow_missing: bool = False
    dependencies: bool | None = None
    dependents: bool = False
    lock: Operation | None = Operation.LOCK_IF_NEEDED
    build: bool = False
    reset: tuple[str, ...] = ()


@frozen
class Selection:
    """The selected `layers`, in the order of the spec, and the operations on each, by env name."""

    layers: tuple[Layer, ...]
    operations: Mapping[str, tuple[Operation, ...]]
    unmatched: tuple[str, ...] = ()

    def __contains__(self, layer: Layer) -> bool:
        return layer.env_name in self.operations

    def of(self, layer: Layer) -> tuple[Operation, ...]:
        """Return the operations on a layer."""
        return self.operations.get(layer.env_name, ())

    @property
    def built(self) -> tuple[Layer, ...]:
        """The layers that are built, if that is needed."""
        return tuple(layer for layer in self.layers if self.builds(layer))

    def locks(self, layer: Layer) -> bool:
        """Return whether the layer is locked, if that is needed."""
        return not {Operation.LOCK, Operation.LOCK_IF_NEEDED}.isdisjoint(self.of(layer))

    def builds(self, layer: Layer) -> bool:
        """Return whether the layer is built, if that is needed."""
        return not {Operation.BUILD, Operation.BUILD_IF_NEEDED}.isdisjoint(self.of(layer))


def matches(layer: Layer, patterns: Sequence[str]) -> bool:
    """Return whether the env name of a layer matches one of the shell-style patterns."""
    return any(fnmatchcase(layer.env_name, pattern) for pattern in patterns)


def select_layers(spec: Spec, request: SelectionRequest, target: Target) -> Selection:
    """Select layers. Building is for `target`, locking for all platforms.

    Raises UsageError for a pattern that matches nothing, and for a layer with contradicting instructions.
    """
    layers = [layer for layer in spec.layers if layer.targets]
    unmatched = _unmatched(request.include, layers, "--include", request.allow_missing)
    unmatched += _unmatched(request.reset, layers, "--reset", request.allow_missing)
    included = [layer for layer in layers if not request.include or matches(layer, request.include)]
    dependents = _above(layers, included) if request.dependents or not request.build else []
    fully = {layer.env_name for layer in (*included, *dependents)}
    below = _names_below([*included, *dependents]) - fully
    below_included = _names_below(included)
    contradicting = [layer for layer in dependents if layer.env_name in below_included]
    for layer in contradicting:
        if _operations(layer, request, target, full=True) != _operations(layer, request, target, full=False):
            doing = "build" if request.build else "lock"
            raise UsageError(
                f"conflicting {doing} instructions for {', '.join(one.env_name for one in contradicting)}:"
                " above one included layer and below another",
                hint="add --dependencies, or include these layers too with --include",
            )
    operations = {
        layer.env_name: _operations(layer, request, target, full=layer.env_name in fully)
        for layer in layers
        if layer.env_name in fully or (layer.env_name in below and request.dependencies is not False)
    }
    selected = tuple(layer for layer in layers if layer.env_name in operations)
    return Selection(layers=selected, operations=MappingProxyType(operations), unmatched=unmatched)


def _unmatched(patterns: Sequence[str], layers: Sequence[Layer], option: str, allowed: bool) -> tuple[str, ...]:
    found = tuple(pattern for pattern in patterns if not any(matches(layer, [pattern]) for layer in layers))
    if found and not allowed:
        known = [layer.env_name for layer in layers]
        raise UsageError(
            f"{option} {found[0]}: no such layer",
            hint=f"{suggestion(found[0], known)}layers: {', '.join(known)}; or pass --allow-missing",
        )
    return found


def _above(layers: Iterable[Layer], included: Sequence[Layer]) -> list[Layer]:
    """Return the layers that are built on an included one and are not included themselves."""
    names = {layer.env_name for layer in included}
    return [layer for layer in layers if layer.env_name not in names and not names.isdisjoint(layer.dependency_names)]


def _names_below(tops: Iterable[Layer]) -> set[str]:
    """Return the names of the layers that these are built on."""
    return {name for top in tops for name in top.dependency_names}


def _operations(layer: Layer, request: SelectionRequest, target: Target, *, full: bool) -> tuple[Operation, ...]:
    """Return the operations on a layer. It is included or above one (`full`), or below."""
    if not full and request.dependencies is False:
        return ()
    full = full or request.dependencies is True
    operations = []
    if request.lock is not None and full and matches(layer, request.reset):
        operations += [Operation.RESET_LOCK, Operation.LOCK]
    elif request.lock is not None:
        operations.append(request.lock if full else Operation.LOCK_IF_NEEDED)
    if request.build and target in layer.targets:
        operations.append(Operation.BUILD if full else Operation.BUILD_IF_NEEDED)
    return tuple(operations)
