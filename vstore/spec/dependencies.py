"""The layers that a framework or an application is built on: its runtime, and its frameworks in C3 order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vstore.errors import nearest
from vstore.spec.graph import LinearisationError, find_cycle, linearise
from vstore.spec.model import Layer
from vstore.spec.reader import Table, quote
from vstore.values import frozen

_MAX_FRAMEWORKS = 2_500  # below one layer; the memory for a chain grows with the square


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierLayers:
    """The layers read so far, by name; None for one that has mistakes.

    `edges` are the declared frameworks of each framework of the spec, also of those further down.
    """

    runtimes: dict[str, Layer | None] = field(default_factory=dict)
    frameworks: dict[str, Layer | None] = field(default_factory=dict)
    edges: Mapping[str, Sequence[str]]


@frozen
class Dependencies:
    """The layers below a layer, in import order: all frameworks, nearest first, then the runtime. None for a runtime.

    `declared` are the names of the frameworks that the layer itself declares.
    """

    layers: tuple[Layer, ...] = ()
    declared: tuple[str, ...] = ()

    @property
    def direct(self) -> tuple[Layer, ...]:
        """The layers that the layer itself declares."""
        return tuple(layer for layer in self.layers[:-1] if layer.name in self.declared) or self.layers

    @property
    def inherited_from(self) -> tuple[Layer, ...]:
        """The layers whose package indexes are inherited. A framework has those of its runtime already."""
        return self.layers[:-1] or self.layers


def read_dependencies(table: Table, name: str | None, earlier: EarlierLayers) -> Dependencies | None:
    """Read the dependencies of a layer. Return None after a mistake, here (it is noted) or in a layer below."""
    if "runtime" in table and "frameworks" in table:
        table.add_mistake("", "must specify a runtime or framework dependencies, not both")
        return None
    if "runtime" in table:
        return _on_runtime(table, earlier)
    names = table.strings("frameworks") if "frameworks" in table else ()
    if names is None:
        return None
    if not names:
        table.add_mistake("", "must specify a runtime or at least one framework dependency")
        return None
    return _on_frameworks(table, name, names, earlier)


def _on_runtime(table: Table, earlier: EarlierLayers) -> Dependencies | None:
    wanted = table.string("runtime")
    if wanted is None:
        return None
    if wanted not in earlier.runtimes:
        table.add_mistake("runtime", f"unknown runtime {quote(wanted)}{_suggest(wanted, earlier.runtimes)}")
        return None
    runtime = earlier.runtimes[wanted]
    return None if runtime is None else Dependencies(layers=(runtime,))


def _on_frameworks(
    table: Table, name: str | None, names: tuple[str, ...], earlier: EarlierLayers
) -> Dependencies | None:
    faulty = False
    for number, wanted in enumerate(names):
        key = f"frameworks[{number}]"
        if wanted in names[:number]:
            table.add_mistake(key, f"framework {quote(wanted)} is named twice")
            faulty = True
        elif wanted not in earlier.frameworks:
            table.add_mistake(key, f"unknown framework {quote(wanted)}{_why_unknown(name, wanted, earlier)}")
            faulty = True
    found = [earlier.frameworks.get(wanted) for wanted in names]
    layers = [layer for layer in found if layer is not None]
    for layer in layers:
        if layer.runtime.name != layers[0].runtime.name:
            first = f"{quote(layers[0].name)} is built on runtime {quote(layers[0].runtime.name)}"
            text = f"inconsistent frameworks, {first} and {quote(layer.name)} on {quote(layer.runtime.name)}"
            table.add_mistake("frameworks", text)
            faulty = True
            break
    return None if faulty or len(layers) < len(names) else _linearised(table, names, layers, earlier)


def _linearised(
    table: Table, names: tuple[str, ...], layers: Sequence[Layer], earlier: EarlierLayers
) -> Dependencies | None:
    orders = {layer.name: tuple(below.name for below in layer.dependencies[:-1]) for layer in layers}
    try:
        order = linearise(names, orders)
    except LinearisationError as error:
        remaining = " against ".join(str(list(names)) for names in error.remaining)
        text = f"dependency linearization failed, these orders contradict each other: {remaining}"
        table.add_mistake("frameworks", text)
        return None
    if len(order) > _MAX_FRAMEWORKS:
        text = f"a layer may be built on at most {_MAX_FRAMEWORKS:,} frameworks, found {len(order):,}"
        table.add_mistake("frameworks", text)
        return None
    frameworks = (layer for name in order if (layer := earlier.frameworks[name]) is not None)
    return Dependencies(layers=(*frameworks, layers[0].runtime), declared=names)


def _why_unknown(name: str | None, wanted: str, earlier: EarlierLayers) -> str:
    """Return why a framework is unknown at this place, although the spec may define it."""
    is_framework = name is not None and name in earlier.edges and name not in earlier.frameworks
    if is_framework and wanted == name:
        return ", a framework cannot be built on itself"
    if wanted not in earlier.edges:
        return _suggest(wanted, earlier.frameworks)
    if is_framework and name is not None:
        way = find_cycle(wanted, {**earlier.edges, name: [wanted]})
        if way is not None and name in way:
            return f", they form a cycle: {' -> '.join((*way, wanted))}"
    return ", it is defined further down (a layer refers to layers above it)"


def _suggest(wanted: str, known: Mapping[str, object]) -> str:
    if not known:
        return ", the spec defines none above"
    near = nearest(wanted, known)
    return f', did you mean "{near}"?' if near else f", known: {', '.join(known)}"
