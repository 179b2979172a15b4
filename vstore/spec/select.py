"""Which layers a command is about, and what it does with each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType

from vstore.errors import UsageError
from vstore.spec.model import Layer, Spec
from vstore.target import Target
from vstore.values import frozen


class Operation(StrEnum):
    """What may be done with a layer, in venvstacks' words."""

    RESET_LOCK = "reset-lock"
    LOCK = "lock"
    LOCK_IF_NEEDED = "lock-if-needed"
    BUILD = "build"
    BUILD_IF_NEEDED = "build-if-needed"


@frozen
class SelectionRequest:
    """What a user asks for: patterns, and what is to happen with the layers below and above those that match.

    `lock` is None for a command that may not lock. `dependencies`: True treats the layers below like the included
    ones, None as far as needed, False not at all. `dependents` takes the layers above in; locking always does.
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
    """The operations by env name, of the layers that a command is about, in the order of the spec."""

    operations: Mapping[str, tuple[Operation, ...]]
    unmatched: tuple[str, ...] = ()

    def __contains__(self, layer: Layer) -> bool:
        return layer.env_name in self.operations

    def of(self, layer: Layer) -> tuple[Operation, ...]:
        return self.operations.get(layer.env_name, ())

    @property
    def resets(self) -> tuple[str, ...]:
        """The layers whose locks are to be forgotten."""
        return tuple(name for name, operations in self.operations.items() if Operation.RESET_LOCK in operations)

    def locks(self, layer: Layer) -> bool:
        return not {Operation.LOCK, Operation.LOCK_IF_NEEDED}.isdisjoint(self.of(layer))

    def builds(self, layer: Layer) -> bool:
        return not {Operation.BUILD, Operation.BUILD_IF_NEEDED}.isdisjoint(self.of(layer))


def matches(layer: Layer, patterns: Sequence[str]) -> bool:
    """Whether a layer's env name matches one of the shell-style patterns."""
    return any(fnmatchcase(layer.env_name, pattern) for pattern in patterns)


def select(spec: Spec, wish: SelectionRequest, target: Target) -> Selection:
    """What happens with which layer; building is for `target` only, locking for all platforms.

    Raises UsageError for a pattern that matches nothing, or a layer of which two contrary things are asked.
    """
    layers = [layer for layer in spec.layers if layer.targets]
    unmatched = _unmatched(wish.include, layers, "--include", wish.allow_missing)
    unmatched += _unmatched(wish.reset, layers, "--reset", wish.allow_missing)
    included = [layer for layer in layers if not wish.include or matches(layer, wish.include)]
    dependents = _above(layers, included) if wish.dependents or not wish.build else []
    fully = {layer.env_name for layer in (*included, *dependents)}
    below = _names_below([*included, *dependents]) - fully
    under = _names_below(included)
    contrary = [layer for layer in dependents if layer.env_name in under]
    for layer in contrary:
        if _operations(layer, wish, target, full=True) != _operations(layer, wish, target, full=False):
            doing = "build" if wish.build else "lock"
            raise UsageError(
                f"Conflicting {doing} instructions for {[one.env_name for one in contrary]}:"
                " above some of the included layers, below others",
                hint="add --dependencies, or name it by --include",
            )
    operations = {
        layer.env_name: _operations(layer, wish, target, full=layer.env_name in fully)
        for layer in layers
        if layer.env_name in fully or (layer.env_name in below and wish.dependencies is not False)
    }
    return Selection(operations=MappingProxyType(operations), unmatched=unmatched)


def _unmatched(patterns: Sequence[str], layers: Sequence[Layer], option: str, allowed: bool) -> tuple[str, ...]:
    found = tuple(pattern for pattern in patterns if not any(matches(layer, [pattern]) for layer in layers))
    if found and not allowed:
        known = ", ".join(layer.env_name for layer in layers)
        raise UsageError(f"{option} {found[0]}: no such layer", hint=f"layers: {known}; or pass --allow-missing")
    return found


def _above(layers: Iterable[Layer], included: Sequence[Layer]) -> list[Layer]:
    """The layers that sit on an included one and are not included themselves."""
    names = {layer.env_name for layer in included}
    return [layer for layer in layers if layer.env_name not in names and not names.isdisjoint(layer.dependency_names)]


def _names_below(tops: Iterable[Layer]) -> set[str]:
    """The names of the layers that these sit on."""
    return {name for top in tops for name in top.dependency_names}


def _operations(layer: Layer, wish: SelectionRequest, target: Target, *, full: bool) -> tuple[Operation, ...]:
    """Of an included or dependent layer (`full`), or of one that lies below them."""
    if not full and wish.dependencies is False:
        return ()
    full = full or wish.dependencies is True
    operations = []
    if wish.lock is not None and full and matches(layer, wish.reset):
        operations += [Operation.RESET_LOCK, Operation.LOCK]
    elif wish.lock is not None:
        operations.append(wish.lock if full else Operation.LOCK_IF_NEEDED)
    if wish.build and target in layer.targets:
        operations.append(Operation.BUILD if full else Operation.BUILD_IF_NEEDED)
    return tuple(operations)
